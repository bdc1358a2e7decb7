"""Steps until the end of a run, with checkpoints, and the files that it leaves.

Belongs here: the loop, resuming, encoder and card of a run. Does not belong here: what a step is (run), what a run
starts from (train, anchor).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone import checkpoint, whole
from spine_models.encoder.backbone.data import CropStream, OpenReader, open_stream
from spine_models.encoder.backbone.distributed import barrier, rank, world_size
from spine_models.encoder.backbone.encoder import version_of, write_card
from spine_models.encoder.backbone.health import health
from spine_models.encoder.backbone.probe import Probe, split_tars
from spine_models.encoder.backbone.recipe import Recipe
from spine_models.encoder.backbone.run import Run
from spine_models.encoder.backbone.tables import CURVES

Report = Callable[[dict[str, float]], None]
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class TrainingResult:
    """``folder`` holds the encoder (``encoder.load_encoder`` opens it), its card and the run's last checkpoint."""

    folder: Path
    curves: pl.DataFrame
    card: dict[str, Any]


@dataclass(frozen=True)
class Material:
    """What a run trains on and is probed with."""

    tars: list[Path]
    probe: Probe
    n_train: int  # slices, without those held out for the probe
    digest: str  # sha256 over the keys of all slices

    @classmethod
    def gathered(
        cls,
        tars: Sequence[Path],
        settings: BackboneSettings,
        *,
        open_reader: OpenReader,
        gram_px: int | None = None,
    ) -> Material | None:
        """Of a route's shards; None with fewer than ``min_train_slices`` slices beside those held out.

        Raises:
            SlicesTooSmall: with ``gram_px``, see ``augment.MultiCrop``.
        """
        train, val = split_tars(tars)
        train_keys, val_keys = (_slice_keys(part, open_reader) for part in (train, val))
        if len(train_keys) < settings.min_train_slices:
            return None
        probe = Probe(tars, settings, open_reader=open_reader, gram_px=gram_px)
        n_train = len(train_keys) - len(probe.excluded)
        if n_train < settings.min_train_slices:
            return None
        text = "\n".join([*train_keys, "", *val_keys])
        return cls(train, probe, n_train, hashlib.sha256(text.encode()).hexdigest())


def _slice_keys(tars: Sequence[Path], open_reader: OpenReader) -> tuple[str, ...]:
    return tuple(open_reader(tars, seed=0, rank=0, world=1, balance="slice").keys) if tars else ()


def forked_rng(device: torch.device) -> Any:
    """A context in which a run may seed torch's generators without its caller noticing."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def carry_out(
    run: Run,
    material: Material,
    out: Path,
    *,
    identity: dict[str, Any],
    recipe: Recipe,
    details: dict[str, Any],
    resume: bool,
    report: Report | None,
    stop_after: int | None,
    open_reader: OpenReader,
) -> TrainingResult:
    """Train a run to its end, or on from its last whole checkpoint, and write encoder and card.

    Args:
        run: as it starts.
        material: of the run.
        out: folder of the encoder; checkpoints lie in ``checkpoints`` below it.
        identity: JSON of what must be the same on resume.
        recipe: what is trained, and how its encoder is written.
        details: further lines of the card.
        resume: go on from a checkpoint; False removes it.
        report: called on rank 0 with the numbers of every step.
        stop_after: stop at this step with a checkpoint; the encoder written then is marked as not trained.
        open_reader: opens shards.

    Raises:
        TrainingDiverged: too many bad steps in a row.
        CheckpointMismatch: ``out`` holds a checkpoint of another run.
    """
    settings, state, folder = run.settings, run.state, out / CHECKPOINTS
    last = whole.latest(folder)
    if last is not None and resume:
        checkpoint.restore(last, state, identity=identity)
    elif rank() == 0:
        whole.remove(folder)
    barrier()
    _train(run, material.tars, folder, identity, report, stop_after, open_reader)
    trained = state.step == settings.steps
    if rank() == 0:
        recipe.save(out, state.teacher.backbone, trained)
    barrier()
    curves = pl.DataFrame(state.rows, schema=CURVES)
    card = (
        recipe.identity
        | {
            "name": recipe.name,
            "route": run.route,
            "version": version_of(out, recipe.weights),
            "trained": trained,
            "steps": state.step,
            "skipped_steps": state.optimiser.skipped,
            "train_slices": material.n_train,
            "probe_slices": material.probe.n_slices,
            "probe_held_out_of_train": len(material.probe.excluded),
            "slices_sha256": material.digest,
            "processes": world_size(),
            "settings": settings.model_dump(mode="json"),
            "health": [finding._asdict() for finding in health(curves, settings)],
        }
        | details
    )
    if rank() == 0:
        write_card(out, card)
    return TrainingResult(out, curves, card)


def _train(
    run: Run,
    tars: Sequence[Path],
    folder: Path,
    identity: dict[str, Any],
    report: Report | None,
    stop_after: int | None,
    open_reader: OpenReader,
) -> None:
    """Steps until the end or ``stop_after``, with checkpoints."""
    settings, state = run.settings, run.state
    end = settings.steps if stop_after is None else min(stop_after, settings.steps)
    if state.step == 0:
        _record(run, run.row(), report)
    if state.step >= end:
        return
    stream = CropStream(
        tars,
        settings,
        open_reader=open_reader,
        rank=rank(),
        world=world_size(),
        step=state.step,
        positions=state.positions,
        excluded=run.probe.excluded,
        gram_px=run.gram_px,
    )
    student = run.wrapped()
    for batch in open_stream(stream):
        row = run.advance(student, batch.crops)
        state.positions[batch.lane] = batch.position
        _record(run, row, report)
        if state.step % settings.checkpoint_every == 0 or state.step == end:
            checkpoint.save(folder, state, identity=identity)
        if state.step == end:
            return


def _record(run: Run, row: dict[str, Any], report: Report | None) -> None:
    run.state.rows.append(row)
    if report is not None and rank() == 0:
        report({name: float(value) for name, value in row.items() if name != "route" and value is not None})
