"""Which function each training of the graph is, called with what a job names.

Belongs here: from a job's JSON to a domain call. Does not belong here: processes and Pipes (``training``), steps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl

if TYPE_CHECKING:
    from pipelines.runtime.training import TrainingJob
    from spine_models.encoder.clip.vectors import SliceVectors

Report = Callable[[dict[str, float]], None]


class Result(Protocol):
    """What every training of the encoder layer returns."""

    curves: pl.DataFrame
    seen: pl.DataFrame
    card: dict[str, Any]


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
    from spine_models.encoder.synthesizer.train import synthesize

    synthesizer = SynthesizerSettings.model_validate(job.sections["synthesizer"])
    return synthesize(
        BackboneSettings.model_validate(job.sections["backbone"]),
        synthesizer,
        _paths(job.inputs["tars"]),
        Path(job.out),
        t1=Path(job.inputs["t1"]),
        t2=Path(job.inputs["t2"]),
        resume=job.resume,
        report=_of(synthesizer.steps, report),
    )


def align(job: TrainingJob, report: Report) -> Result:
    """Alignment of both encoders with the reports of the train split."""
    from spine_models.config import ClipSettings
    from spine_models.encoder.backbone.distributed import world_size
    from spine_models.encoder.clip.batch import batch_sizes
    from spine_models.encoder.clip.train import train_clip, usable
    from spine_models.encoder.clip.vectors import stored_studies

    settings = ClipSettings.model_validate(job.sections["clip"])
    vectors = _vectors(job, settings.max_slices, report)
    reports = pl.read_parquet(job.inputs["reports"])
    train, val = (stored_studies(vectors, reports, split=split) for split in ("train", "val"))
    _, in_an_epoch = batch_sizes(len(usable(train, settings)), settings.batch_size, world_size())
    return train_clip(
        settings,
        train,
        val,
        Path(job.out),
        parents=vectors.parents,
        resume=job.resume,
        report=_of(settings.epochs * in_an_epoch, report),
    )


TRAINERS: Final[dict[str, Callable[[TrainingJob, Report], Result]]] = {
    "pretrain": pretrain,
    "anchor": anchor,
    "synthesize": synthesize,
    "align": align,
}


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
        progress=lambda done, total: report({"step": done, "steps": total}),
    )


def _paths(names: list[str]) -> list[Path]:
    return [Path(name) for name in names]


def _of(steps: int, report: Report) -> Report:
    """A report that knows how long the training is."""
    return lambda row: report(row | {"steps": float(steps)})
