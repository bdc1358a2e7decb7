"""What every training asset has in common: its shards, the published model, and the proof of whom it was trained on.

Belongs here: the shape that pretraining, anchoring, alignment and gates share. Does not belong here: any one training.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import dagster as dg
import polars as pl
from pydantic import Field

from pipelines.runtime.metadata import counts, markdown, table_out, table_result
from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import content_version
from pipelines.runtime.training import INPUT_SUFFIX, Trained
from spine_models.corpus.deid.tables import REPORTS
from spine_models.corpus.shards.tables import SLICES
from spine_models.encoder.seen import PATIENTS, not_allowed, patients_of_slices

FROZEN: Final = {"manifest": dg.AssetIn(["shards", "manifest"]), "ledger": dg.AssetIn(["shards", "patients"])}
"""What every training may see, and whom. Shards are read as the manifest names them and are no dependency of their own:
a new batch would make every model look out of date."""


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


def tars_of(hospital: Hospital, manifest: pl.DataFrame) -> list[str]:
    """Absolute paths of the manifest's tars, in its order."""
    roots = hospital.artifacts(("shards", "tars"), manifest["batch_key"].unique().sort().to_list())
    return [str(roots[batch] / shard) for batch, shard in manifest.select("batch_key", "shard").rows()]


def frozen_slices(
    hospital: Hospital, manifest: pl.DataFrame, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Rows of the slice index that lie in the manifest's tars; ``columns`` alone where they are named."""
    wanted = None if columns is None else sorted({*columns, "batch_key", "shard"})
    slices = _of_batches(hospital, ("shards", "slices"), SLICES, manifest, wanted)
    return slices.join(manifest.select("batch_key", "shard"), on=["batch_key", "shard"], how="semi")


def _of_batches(
    hospital: Hospital,
    key: tuple[str, str],
    schema: pl.Schema,
    manifest: pl.DataFrame,
    columns: list[str] | None = None,
) -> pl.DataFrame:
    """A table of the manifest's batches; no rows where there are none."""
    batches = manifest["batch_key"].unique().sort().to_list()
    if not batches:
        return pl.DataFrame(schema=schema).select(columns or pl.all())
    return hospital.lake.read_table(key, batches, columns=columns)


def study_reports(hospital: Hospital, manifest: pl.DataFrame) -> pl.DataFrame:
    """study_key and report_text of the manifest's batches; several reports of a study one after the other."""
    reports = _of_batches(hospital, ("deid", "reports"), REPORTS, manifest)
    texts = pl.col("report_text").sort_by("report_key").str.join("\n\n")
    return reports.group_by("study_key").agg(texts).sort("study_key")


def aligned_inputs(hospital: Hospital, manifest: pl.DataFrame) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a training that reads studies and reports is given, and the parents that make it this training.

    The slice vectors lie beside the trainings, one folder that is replaced when slices or encoders change.
    """
    slices, reports = frozen_slices(hospital, manifest), study_reports(hospital, manifest)
    encoders = hospital.encoders()
    batches = manifest["batch_key"].unique().sort().to_list()
    folder = hospital.training_folder(("clip", "inputs"), None, {})
    inputs: dict[str, Any] = handed_over(folder, slices=slices, reports=reports)
    inputs["shards"] = {
        batch: str(root) for batch, root in hospital.artifacts(("shards", "tars"), batches).items()
    }
    inputs["encoders"] = {route: str(root) for route, root in encoders.items()}
    inputs["vectors"] = str(folder / "vectors")
    parents = {
        "encoders": {route: root.name for route, root in encoders.items()},
        "shards": manifest["sha256"].sort().to_list(),
        "reports": content_version(reports),
    }
    return inputs, parents


def handed_over(folder: Path, **frames: pl.DataFrame) -> dict[str, str]:
    """Write frames for a training process to read; paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}{INPUT_SUFFIX}" for name in frames}
    for name, frame in frames.items():
        frame.write_parquet(paths[name])
    return {name: str(path) for name, path in paths.items()}


def seen_patients(
    hospital: Hospital, manifest: pl.DataFrame, result: Trained, *, training: str, route: str
) -> pl.DataFrame:
    """PATIENTS of a training that reads slices."""
    slices = frozen_slices(hospital, manifest, ["slice_key", "patient_key"])
    return patients_of_slices(result.seen, slices, training=training, route=route)


def publish_trained(
    hospital: Hospital, key: Sequence[str], partition: str | None, result: Trained, **parents: Any
) -> str:
    """Publish a training's model files under their content hash, with its card and what it was made from.

    Returns:
        The version.
    """
    with hospital.draft(key, partition) as draft:
        for file in result.files:
            shutil.copy2(file, Path(draft.folder) / file.name)
        draft.card = {"training": result.card, **parents}
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
