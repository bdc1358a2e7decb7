"""What every training asset has in common: its settings, the published model, and the proof of whom it was trained on.

Belongs here: the shape that pretraining, anchoring, alignment and gates share. Does not belong here: any one training,
what trainings read (``frozen``).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from pipelines.runtime.frozen import frozen_slices
from pipelines.runtime.metadata import counts, markdown, table_out, table_result
from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import content_version
from pipelines.runtime.training import Trained
from spine_models.encoder.seen import PATIENTS, not_allowed, patients_of_slices
from spine_models.encoder.snapshots import snapshot_folder


class Training(dg.Config):
    """What a person may change in the launchpad of any training; everything else is the profile's."""

    resume: bool = Field(True, description="continue from the newest whole checkpoint of the same settings")


def of_all_partitions(*keys: list[str]) -> list[dg.AssetDep]:
    """Dependencies on every partition of some assets; of which batches is the manifest's to say."""
    return [dg.AssetDep(key, partition_mapping=dg.AllPartitionMapping()) for key in keys]


def patients_out(key: Sequence[str], *, layer: str, code_version: str) -> dg.AssetOut:
    """The table of whom a training read."""
    description = "Whose slices or studies the training read, in which role, and how many."
    return table_out(key, PATIENTS, description, layer=layer, code_version=code_version)


def only_train_patients(key: Sequence[str]) -> dg.AssetCheckSpec:
    """The check that a training read nobody's images but train patients' (and val patients' to look at)."""
    return dg.AssetCheckSpec(
        "only_train_patients",
        asset=list(key),
        description="Every slice or study that was trained on is of a train patient; val patients are only measured.",
        blocking=True,
    )


def seen_patients(
    hospital: Hospital, manifest: pl.DataFrame, result: Trained, *, training: str, route: str
) -> pl.DataFrame:
    """PATIENTS of a training that reads slices."""
    slices = frozen_slices(hospital, manifest, ["slice_key", "patient_key"])
    return patients_of_slices(result.seen, slices, training=training, route=route)


def publish_trained(
    hospital: Hospital,
    key: Sequence[str],
    partition: str | None,
    result: Trained,
    *,
    patients: pl.DataFrame,
    ledger: pl.DataFrame,
    manifest: pl.DataFrame,
    **parents: Any,
) -> str:
    """Publish a training's model files under their content hash, with its card and what it was made from.

    Returns:
        The version.

    Raises:
        dagster.Failure: it read somebody who may not train; nothing is published then. A check alone would come after.
    """
    if (wrong := not_allowed(patients, ledger)).height:
        raise dg.Failure(
            f"{'/'.join(key)}: the training read {wrong['patient_key'].n_unique()} patients who may not train, and is "
            "not published: freeze the manifest again, then train anew"
        )
    with hospital.draft(key, partition) as draft:
        for file in result.files:
            shutil.copy2(file, Path(draft.folder) / file.name)
        if (snapshots := snapshot_folder(result.folder)).is_dir():
            shutil.copytree(snapshots, snapshot_folder(draft.folder))
        draft.card = {"training": result.card, "manifest": content_version(manifest), **parents}
    return draft.version


def patients_result(
    key: Sequence[str], spec: dg.AssetCheckSpec, patients: pl.DataFrame, ledger: pl.DataFrame
) -> Iterator[object]:
    """The table of patients, and the verdict on it."""
    wrong = not_allowed(patients, ledger)
    yield table_result(key, patients, patients_by_role=counts(patients, "role"))
    yield dg.AssetCheckResult(
        asset_key=list(key),
        check_name=spec.name,
        passed=wrong.is_empty(),
        metadata={"patients": patients["patient_key"].n_unique(), "not_allowed": wrong.height},
    )


def findings_result(
    key: Sequence[str], spec: dg.AssetCheckSpec, findings: Sequence[Any], card: dict[str, Any]
) -> dg.AssetCheckResult:
    """Health findings of a training as one warning check; an untrained model never passes, and says why."""
    rows = pl.DataFrame(
        [(f.name, f.passed, f.value, f.bound, f.description) for f in findings],
        schema=["check", "passed", "value", "bound", "meaning"],
        orient="row",
    )
    return dg.AssetCheckResult(
        asset_key=list(key),
        check_name=spec.name,
        passed=card["trained"] and all(f.passed for f in findings),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "findings": markdown(rows),
            "trained": card["trained"],
            **({"reason": card["reason"]} if card.get("reason") else {}),
        },
    )
