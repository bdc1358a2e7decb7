"""Which function each training of the graph is, called with what a job names.

Belongs here: from a job's JSON to a domain call. Does not belong here: processes and Pipes (``training``), steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl

if TYPE_CHECKING:
    from pipelines.runtime.training import TrainingJob
    from spine_models.encoder.clip.vectors import SliceVectors
    from spine_models.reporting.llava.examples import ReportStudy

Report = Callable[[dict[str, float]], None]


class Result(Protocol):
    """What every training returns."""

    curves: pl.DataFrame
    seen: pl.DataFrame
    card: dict[str, Any]


@dataclass(frozen=True)
class NotTrained:
    """A training that could not begin: empty tables and a card that says why; no model is written."""

    curves: pl.DataFrame
    seen: pl.DataFrame
    card: dict[str, Any]
    retrieval: pl.DataFrame | None = None


def pretrain(job: TrainingJob, report: Report) -> Result:
    """Self-supervised pretraining of one route."""
    from spine_models.config import BackboneSettings
    from spine_models.encoder.backbone.train import pretrain

    settings = BackboneSettings.model_validate(job.sections["backbone"])
    return pretrain(
        settings,
        _paths(job.inputs["tars"]),
        Path(job.out),
        route=job.inputs["route"],
        resume=job.resume,
        report=_of(settings.steps, report),
    )


def anchor(job: TrainingJob, report: Report) -> Result:
    """Gram anchoring of one route's encoder."""
    from spine_models.config import BackboneSettings, GramSettings
    from spine_models.encoder.backbone.anchor import anchor

    gram = GramSettings.model_validate(job.sections["gram"])
    return anchor(
        BackboneSettings.model_validate(job.sections["backbone"]),
        gram,
        _paths(job.inputs["tars"]),
        Path(job.out),
        route=job.inputs["route"],
        start=Path(job.inputs["start"]),
        excluded=frozenset(pl.read_parquet(job.inputs["coarse"])["slice_key"]),
        resume=job.resume,
        report=_of(gram.steps, report),
    )


def synthesize(job: TrainingJob, report: Report) -> Result:
    """Self-supervised training of the gates between both encoders."""
    from spine_models.config import BackboneSettings, SynthesizerSettings
    from spine_models.encoder.backbone.tables import CURVES, SEEN
    from spine_models.encoder.synthesizer.train import synthesize

    if reason := _untrained_encoders(job, ("t1", "t2")):
        return _not_trained(reason, CURVES, SEEN)
    synthesizer = SynthesizerSettings.model_validate(job.sections["synthesizer"])
    return synthesize(
        BackboneSettings.model_validate(job.sections["backbone"]),
        synthesizer,
        _paths(job.inputs["tars"]),
        Path(job.out),
        t1=Path(job.inputs["encoders"]["t1"]),
        t2=Path(job.inputs["encoders"]["t2"]),
        resume=job.resume,
        report=_of(synthesizer.steps, report),
    )


def align(job: TrainingJob, report: Report) -> Result:
    """Alignment of both encoders with the reports of the train split."""
    from spine_models.config import ClipSettings
    from spine_models.encoder.clip.tables import CURVES, RETRIEVAL, SEEN
    from spine_models.encoder.clip.train import train_clip, usable
    from spine_models.encoder.clip.variants import ROUTES
    from spine_models.encoder.clip.vectors import stored_studies

    settings = ClipSettings.model_validate(job.sections["clip"])
    if reason := _untrained_encoders(job, ROUTES):
        return _not_trained(reason, CURVES, SEEN, RETRIEVAL)
    vectors = _vectors(job, settings.max_slices, report)
    reports = pl.read_parquet(job.inputs["reports"])
    train, val = (stored_studies(vectors, reports, split=split) for split in ("train", "val"))
    studies = usable(train, settings)
    if lacking := [route for route in ROUTES if not any(route in study.routes for study in studies)]:
        reason = f"no train study has a report and slices of {' and '.join(lacking)}"
        return _not_trained(reason, CURVES, SEEN, RETRIEVAL)
    return train_clip(
        settings,
        train,
        val,
        Path(job.out),
        parents=vectors.parents,
        resume=job.resume,
        report=report,
    )


def align_gates(job: TrainingJob, report: Report) -> Result:
    """Training of the gates with the reports of an aligned clip."""
    from spine_models.config import SynthesizerSettings
    from spine_models.encoder.clip import model
    from spine_models.encoder.clip.tables import SEEN
    from spine_models.encoder.synthesizer import files
    from spine_models.encoder.synthesizer.align import align
    from spine_models.encoder.synthesizer.tables import ALIGN_CURVES, ALIGN_RETRIEVAL

    settings = SynthesizerSettings.model_validate(job.sections["synthesizer"])
    for stage, folder, weights in (
        ("synthesizer/fused", Path(job.inputs["synthesizer"]), files.WEIGHTS),
        ("clip/aligned", Path(job.inputs["clip"]), model.WEIGHTS),
    ):
        if not (folder / weights).is_file() or not read_trained(folder):
            return _not_trained(f"{stage} was not trained", ALIGN_CURVES, SEEN, ALIGN_RETRIEVAL)
    return align(
        settings,
        pl.read_parquet(job.inputs["slices"]),
        pl.read_parquet(job.inputs["reports"]),
        {batch: Path(root) for batch, root in job.inputs["shards"].items()},
        Path(job.out),
        synthesizer=Path(job.inputs["synthesizer"]),
        t1=Path(job.inputs["encoders"]["t1"]),
        t2=Path(job.inputs["encoders"]["t2"]),
        clip=Path(job.inputs["clip"]),
        resume=job.resume,
        report=report,
    )


def train_decoder(job: TrainingJob, report: Report) -> Result:
    """The report model's own small decoder, on the texts of train patients."""
    from spine_models.config import LlavaSettings
    from spine_models.reporting.llava.tiny import train_tiny

    settings = LlavaSettings.model_validate(job.sections["llava"])
    train, val = _report_studies(job)
    return train_tiny(
        settings, train, val, Path(job.out), parents=job.inputs["parents"], resume=job.resume, report=report
    )


def warm_up(job: TrainingJob, report: Report) -> Result:
    """The report model's projector, on a decoder that stays as it is."""
    from spine_models.config import LlavaSettings
    from spine_models.reporting.llava.tables import CURVES, SEEN
    from spine_models.reporting.llava.train import warm_up

    train, val = _report_studies(job)
    if not any(study.images is not None for study in train):
        return _not_trained("no train study has a slice vector", CURVES, SEEN)
    return warm_up(
        LlavaSettings.model_validate(job.sections["llava"]),
        train,
        val,
        Path(job.out),
        decoder=Path(job.inputs["decoder"]),
        decoder_version=job.inputs["decoder_version"],
        parents=job.inputs["parents"],
        resume=job.resume,
        report=report,
    )


def tune(job: TrainingJob, report: Report) -> Result:
    """The report model's adapters, from a warmed projector on."""
    from spine_models.config import LlavaSettings
    from spine_models.reporting.llava.train import tune

    train, val = _report_studies(job)
    return tune(
        LlavaSettings.model_validate(job.sections["llava"]),
        train,
        val,
        Path(job.out),
        warmed=Path(job.inputs["warmed"]),
        decoder=Path(job.inputs["decoder"]),
        decoder_version=job.inputs["decoder_version"],
        parents=job.inputs["parents"],
        resume=job.resume,
        report=report,
    )


TRAINERS: Final[dict[str, Callable[[TrainingJob, Report], Result]]] = {
    "pretrain": pretrain,
    "anchor": anchor,
    "synthesize": synthesize,
    "align": align,
    "align_gates": align_gates,
    "train_decoder": train_decoder,
    "warm_up": warm_up,
    "tune": tune,
}


def _report_studies(job: TrainingJob) -> tuple[list[ReportStudy], list[ReportStudy]]:
    """Train and val studies of a job of the report model; only reports of train patients stand in their prompts."""
    from spine_models.reporting.llava.packed import unpack
    from spine_models.reporting.llava.studies import report_studies

    studies = pl.read_parquet(job.inputs["studies"])
    train = studies.filter(pl.col("split") == "train")
    tables = {
        name: pl.read_parquet(job.inputs[name]) for name in ("reports", "claims", "neighbours", "items")
    }
    images = unpack(pl.read_parquet(job.inputs["images"]))
    shown = set(train["patient_key"])
    of_train, of_val = (
        report_studies(part, images=images, may_be_shown=shown, **tables)
        for part in (train, studies.filter(pl.col("split") == "val"))
    )
    return of_train, of_val


def _vectors(job: TrainingJob, max_slices: int, report: Report) -> SliceVectors:
    """Slice vectors of the manifest's studies, by the encoders of the job's routes."""
    from spine_models.encoder.backbone.encoder import load_encoder
    from spine_models.encoder.backbone.launch import join_process_group
    from spine_models.encoder.clip.vectors import slice_vectors

    join_process_group()  # before the encoders are opened, so that each process has them on its own GPU
    return slice_vectors(
        pl.read_parquet(job.inputs["slices"]),
        {batch: Path(root) for batch, root in job.inputs["shards"].items()},
        {route: load_encoder(Path(folder)) for route, folder in job.inputs["encoders"].items()},
        Path(job.inputs["vectors"]),
        max_slices=max_slices,
        progress=lambda done, total: report({"slice": done, "steps": total}),
    )


def read_trained(folder: Path) -> bool:
    """What a model's config says of itself."""
    return bool(json.loads((folder / "config.json").read_text(encoding="utf-8"))["trained"])


def _untrained_encoders(job: TrainingJob, routes: Sequence[str]) -> str | None:
    """Why an alignment or gates cannot rest on the job's encoders; None where they can."""
    from spine_models.encoder.backbone.encoder import read_config

    folders = job.inputs["encoders"]
    lacking = [r for r in routes if r not in folders or not read_config(Path(folders[r]))["trained"]]
    return f"the encoder of route {' and '.join(lacking)} was not trained" if lacking else None


def _not_trained(
    reason: str, curves: pl.Schema, seen: pl.Schema, retrieval: pl.Schema | None = None
) -> NotTrained:
    return NotTrained(
        pl.DataFrame(schema=curves),
        pl.DataFrame(schema=seen),
        {"trained": False, "steps": 0, "reason": reason},
        None if retrieval is None else pl.DataFrame(schema=retrieval),
    )


def _paths(names: list[str]) -> list[Path]:
    return [Path(name) for name in names]


def _of(steps: int, report: Report) -> Report:
    """A report that knows how long the training is."""
    return lambda row: report(row | {"steps": float(steps)})
