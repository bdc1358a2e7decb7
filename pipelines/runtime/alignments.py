"""The trainings that rest on both anchored encoders: with reports, of gates, and of gates with reports.

Belongs here: from an asset's settings to a published model and whom it was trained on; assets and their ablations share
it. Does not belong here: what the UI shows of it (``assets``), the trainings themselves (``spine_models.encoder``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.runtime.frozen import aligned_inputs, tars_of
from pipelines.runtime.provenance import publish_trained, seen_patients
from pipelines.runtime.resources import Hospital
from pipelines.runtime.training import Trained, TrainingJob, launch
from spine_models.config import ClipSettings, SynthesizerSettings
from spine_models.encoder.seen import patients_of_studies


@dataclass(frozen=True)
class Made:
    """A published model.

    Attributes:
        result: what the training left.
        patients: whom it read, ``encoder.seen.PATIENTS``.
        version: of the published artifact.
    """

    result: Trained
    patients: pl.DataFrame
    version: str


@dataclass(frozen=True)
class Order:
    """What every training of this module is given by its asset.

    Attributes:
        context: of the asset's step.
        hospital: profile and storage.
        manifest: what was frozen.
        ledger: whom it may show.
        key: of the model.
        code_version: of the asset.
        resume: go on from the newest checkpoint of the same settings.
    """

    context: Any
    hospital: Hospital
    manifest: pl.DataFrame
    ledger: pl.DataFrame
    key: Sequence[str]
    code_version: str
    resume: bool

    def folder(self, identity: dict[str, object], *, of: Sequence[str] | None = None) -> str:
        """The training's own folder, ``of`` another key where an asset trains twice."""
        found = self.hospital.training_folder(of or self.key, None, identity, code_version=self.code_version)
        return str(found)

    def publish(self, result: Trained, patients: pl.DataFrame, parents: dict[str, Any]) -> Made:
        """Publish under the order's key."""
        whom = {"patients": patients, "ledger": self.ledger, "manifest": self.manifest}
        return Made(
            result, patients, publish_trained(self.hospital, self.key, None, result, **whom, **parents)
        )


def with_reports(order: Order, settings: ClipSettings) -> Made:
    """Align both encoders with the train split's reports.

    Raises:
        dagster.Failure: the training failed, or read somebody who may not train.
        StorageError: what was frozen is gone.
    """
    sections = {"clip": settings.model_dump(mode="json")}
    inputs, parents = aligned_inputs(order.hospital, order.manifest)
    work = order.folder({**sections, **parents})
    job = TrainingJob("align", f"aligning{_named(order)}", sections, inputs, work, order.resume)
    result = launch(order.context, job, settings.processes)
    return order.publish(result, patients_of_studies(result.seen, training="align"), parents)


def of_gates(order: Order, settings: SynthesizerSettings) -> Made:
    """Train gates between both encoders, self-supervised, on every series, and publish them.

    Raises:
        as ``with_reports``.
    """
    result, parents = _gates(order, settings, order.key)
    patients = seen_patients(order.hospital, order.manifest, result, training="synthesize", route="all")
    return order.publish(result, patients, parents)


def of_gates_with_reports(
    order: Order,
    settings: SynthesizerSettings,
    *,
    start: Path,
    clip: Path,
    before: pl.DataFrame | None = None,
) -> Made:
    """Train gates on with reports, and publish them with their head.

    Args:
        order: of the asset.
        settings: of the synthesizer; ``align`` is the part that counts.
        start: folder of the gates, published or of a training.
        clip: published folder of the alignment whose text side is taken.
        before: patients of the gates' own training, where that is published nowhere else.

    Raises:
        as ``with_reports``.
    """
    sections = {"synthesizer": settings.model_dump(mode="json")}
    inputs, parents = aligned_inputs(order.hospital, order.manifest)
    parents |= {"synthesizer": start.name, "clip": clip.name}
    inputs |= {"synthesizer": str(start), "clip": str(clip)}
    work = order.folder({**sections, **parents})
    job = TrainingJob("align_gates", f"aligning gates{_named(order)}", sections, inputs, work, order.resume)
    result = launch(order.context, job, order.hospital.numbers.backbone.processes)
    patients = patients_of_studies(result.seen, training="align_gates")
    return order.publish(result, patients if before is None else pl.concat([before, patients]), parents)


def of_gates_from_the_start(order: Order, settings: SynthesizerSettings, *, clip: Path) -> Made:
    """Both stages of the gates in a row; only what comes out of the second is published.

    Its patients are those of both stages.

    Raises:
        as ``with_reports``.
    """
    first, _ = _gates(order, settings, (*order.key, "gates"))
    own = seen_patients(order.hospital, order.manifest, first, training="synthesize", route="all")
    return of_gates_with_reports(order, settings, start=first.folder, clip=clip, before=own)


def _gates(order: Order, settings: SynthesizerSettings, key: Sequence[str]) -> tuple[Trained, dict[str, Any]]:
    numbers, encoders = order.hospital.numbers, order.hospital.newest_encoders()
    sections = {
        "backbone": numbers.backbone.model_dump(mode="json"),
        "synthesizer": settings.model_dump(mode="json"),
    }
    parents = {"encoders": {route: root.name for route, root in encoders.items()}}
    inputs = {
        "tars": tars_of(order.hospital, order.manifest),
        "encoders": {route: str(root) for route, root in encoders.items()},
    }
    identity = {**sections, **parents, "shards": order.manifest["sha256"].sort().to_list()}
    job = TrainingJob(
        "synthesize",
        f"training gates{_named(order)}",
        sections,
        inputs,
        order.folder(identity, of=key),
        order.resume,
    )
    return launch(order.context, job, numbers.backbone.processes), parents


def _named(order: Order) -> str:
    """Which of several models of one kind this is, for the progress line."""
    stage, thing = order.key[0], order.key[-1]
    return f" ({thing})" if stage == "ablations" else ""
