"""Steps until the end of a run, with checkpoints, and the files that it leaves.

Belongs here: the loop, resuming, encoder and card of a run. Does not belong here: what a step is (run), what a run
starts from (train, anchor).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch

from spine_models.config import FREE_ON_RESUME
from spine_models.encoder.backbone import checkpoint, whole
from spine_models.encoder.backbone.data import Batch, CropStream, OpenReader, open_stream
from spine_models.encoder.backbone.distributed import barrier, everyones, rank, world_size
from spine_models.encoder.backbone.encoder import version_of, write_card
from spine_models.encoder.backbone.heads import save_heads
from spine_models.encoder.backbone.health import health
from spine_models.encoder.backbone.material import LOG, Material, nothing_seen, write_seen
from spine_models.encoder.backbone.recipe import Recipe
from spine_models.encoder.backbone.run import Run
from spine_models.encoder.backbone.tables import CURVES
from spine_models.encoder.snapshots import snapshot_folder

Report = Callable[[dict[str, float]], None]
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class TrainingResult:
    """What a run left.

    Attributes:
        folder: of the encoder (``encoder.load_encoder`` opens it), its card, ``seen.parquet`` and the run's last
            checkpoint.
        curves: CURVES rows.
        card: content of ``card.json``.
        seen: SEEN rows: every slice that training could draw and every slice that only the probe looked at, of this
            run and not of the one it began with; empty where nothing was trained.
    """

    folder: Path
    curves: pl.DataFrame
    card: dict[str, Any]
    seen: pl.DataFrame = field(default_factory=nothing_seen)


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
    identity = _resumable(identity, material)
    run.prepare()
    last = whole.latest(folder)
    if last is not None and resume:
        checkpoint.restore(last, state, identity=identity)
    elif rank() == 0:
        whole.remove(folder)
        whole.remove(snapshot_folder(out))
        (out / recipe.weights).unlink(missing_ok=True)  # of another run: this one's list says nothing of it
    if rank() == 0:
        write_seen(out, material.seen)
    barrier()
    _train(run, material.tars, out, identity, report, stop_after, open_reader)
    trained = state.step == settings.steps
    backbone = run.teacher_in_full()
    if rank() == 0:
        recipe.save(out, backbone, trained)
    if recipe.keeps_heads:
        save_heads(out, state.student, state.teacher)
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
            "skipped_shards": _left_out(material, state),
            "processes": world_size(),
            "settings": settings.model_dump(mode="json"),
            "health": [finding._asdict() for finding in health(curves, settings)],
        }
        | details
    )
    if rank() == 0:
        write_card(out, card)
    return TrainingResult(out, curves, card, material.seen)


def _resumable(identity: dict[str, Any], material: Material) -> dict[str, Any]:
    """What must be the same on resume: probe slices too, but not how a run deals with shards that it cannot read."""
    settings = {name: value for name, value in identity["settings"].items() if name not in FREE_ON_RESUME}
    keys = "\n".join(sorted(material.probe.keys))
    return identity | {"settings": settings, "slices_probed": hashlib.sha256(keys.encode()).hexdigest()}


def _left_out(material: Material, state: checkpoint.RunState) -> dict[str, str]:
    """Shards that some lane of some rank did without, each with what was wrong with it."""
    found = material.left_out | material.probe.spoilt
    for ranks_lanes in everyones(state.spoilt):
        for spoilt in ranks_lanes:
            found |= spoilt
    return dict(sorted(found.items()))


def _train(
    run: Run,
    tars: Sequence[Path],
    out: Path,
    identity: dict[str, Any],
    report: Report | None,
    stop_after: int | None,
    open_reader: OpenReader,
) -> None:
    """Steps until the end or ``stop_after``, with checkpoints and snapshots."""
    settings, state, folder = run.settings, run.state, out / CHECKPOINTS
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
        spoilt=state.spoilt,
        excluded=run.probe.excluded,
        gram_px=run.gram_px,
    )
    student = run.wrapped()
    for batch in open_stream(stream):
        row = run.advance(student, batch.crops)
        state.positions[batch.lane] = batch.position
        _take_note(state, batch)
        _record(run, row, report)
        if state.step in settings.snapshots:
            _snapshot(run, snapshot_folder(out, state.step))
        if state.step % settings.checkpoint_every == 0 or state.step == end:
            checkpoint.save(folder, state, identity=identity)
        if state.step == end:
            return


def _snapshot(run: Run, folder: Path) -> None:
    """The encoder as it is now; a step that a resumed run takes again writes the same bytes again."""
    backbone = run.teacher_in_full()
    if rank() == 0:
        run.recipe.save(folder, backbone, True)
    barrier()


def _take_note(state: checkpoint.RunState, batch: Batch) -> None:
    """Say which shard a lane leaves out from here on; the card names it at the end."""
    known = {name for lane in state.spoilt for name in lane}
    for name in sorted(batch.spoilt.keys() - known):
        LOG.warning(
            "shard left out of training from step %d on: %s: %s", state.step, name, batch.spoilt[name]
        )
    state.spoilt[batch.lane] = batch.spoilt


def _record(run: Run, row: dict[str, Any], report: Report | None) -> None:
    run.state.rows.append(row)
    if report is not None and rank() == 0:
        numbers = {name: float(value) for name, value in row.items() if name != "route" and value is not None}
        spoilt = {name for lane in run.state.spoilt for name in lane}
        report(numbers | ({"skipped_shards": float(len(spoilt))} if spoilt else {}))
