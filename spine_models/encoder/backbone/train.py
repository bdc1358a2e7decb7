"""Pretraining of one route, from shards to an encoder.

Belongs here: the loop and the run's files. Does not belong here: the parts it is made of, and who starts it
(torchrun, an asset, a notebook).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from spine_models.config import BackboneSettings
from spine_models.corpus.shards import EpochReader
from spine_models.encoder.backbone import checkpoint, schedule
from spine_models.encoder.backbone.augment import Crops
from spine_models.encoder.backbone.data import CropStream, OpenReader, Position, open_stream
from spine_models.encoder.backbone.distributed import barrier, rank, summed, world_size
from spine_models.encoder.backbone.encoder import version_of, write_card
from spine_models.encoder.backbone.health import health
from spine_models.encoder.backbone.launch import join_process_group
from spine_models.encoder.backbone.masking import batch_masks
from spine_models.encoder.backbone.objective import Losses, objective
from spine_models.encoder.backbone.optim import GuardedAdamW
from spine_models.encoder.backbone.probe import Probe, split_tars
from spine_models.encoder.backbone.recipe import Recipe, single_route
from spine_models.encoder.backbone.tables import CURVES
from spine_models.encoder.backbone.teacher import make_teacher, update_teacher

Report = Callable[[dict[str, float]], None]
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class TrainingResult:
    """``folder`` holds the encoder (``encoder.load_encoder`` opens it), its card and the run's last checkpoint."""

    folder: Path
    curves: pl.DataFrame
    card: dict[str, Any]


def _generator_seed(*parts: int) -> int:
    """A seed that differs whenever one of the parts does."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _slice_keys(tars: Sequence[Path], open_reader: OpenReader) -> tuple[str, ...]:
    return tuple(open_reader(tars, seed=0, rank=0, world=1, balance="slice").keys) if tars else ()


def _mean_over_ranks(losses: Losses) -> list[float]:
    return (summed(torch.stack([value.detach() for value in losses])) / world_size()).tolist()


def untrained(
    settings: BackboneSettings, out: Path, *, route: str, recipe: Recipe | None = None
) -> TrainingResult:
    """Write an encoder as it was initialised, marked ``trained: false``, for routes with too few slices to train on."""
    recipe = recipe or single_route(settings, route)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = recipe.build()
    recipe.save(out, network.backbone, False)
    version = version_of(out, recipe.weights)
    card = {"name": recipe.name, "route": route, "version": version, "trained": False, "steps": 0}
    card |= recipe.identity
    write_card(out, card)
    return TrainingResult(out, pl.DataFrame(schema=CURVES), card)


class _Run:
    """Student, teacher, optimiser and curves of one run on this process."""

    def __init__(
        self, settings: BackboneSettings, route: str, device: torch.device, probe: Probe, recipe: Recipe
    ) -> None:
        self.settings, self.route, self.device, self.probe = settings, route, device, probe
        torch.manual_seed(settings.seed)
        student = recipe.build().to(device).train()
        torch.manual_seed(_generator_seed(settings.seed, rank()))
        lanes = max(settings.workers, 1)
        self.state = checkpoint.RunState(
            student=student,
            teacher=make_teacher(student),
            optimiser=GuardedAdamW(student, settings),
            step=0,
            positions=[Position(0, 0)] * lanes,
            rows=[],
        )

    def wrapped(self) -> nn.Module:
        """The student as training calls it."""
        if world_size() == 1:
            return self.state.student
        ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(self.state.student, device_ids=ids)

    def advance(self, student: nn.Module, crops: Crops) -> dict[str, Any]:
        """One step; returns its row. A step that is not finite changes neither student nor teacher."""
        settings, state = self.settings, self.state
        crops = Crops(
            *(part.to(self.device, non_blocking=True) if part is not None else None for part in crops)
        )
        n_images = crops.global_crops.shape[0] * crops.global_crops.shape[1]
        masks = batch_masks(
            n_images,
            state.student.backbone.grid(*crops.global_crops.shape[-2:]),
            probability=settings.mask_probability,
            ratio=settings.mask_ratio,
            generator=np.random.default_rng([settings.seed, state.step, rank()]),
        ).to(self.device)
        lr = schedule.learning_rate(settings, state.step)
        temperature = schedule.teacher_temperature(settings, state.step)
        momentum = schedule.ema_momentum(settings, state.step)
        losses = objective(student, state.teacher, crops, masks, settings, temperature=temperature)
        norm = state.optimiser.step(losses.total, lr)
        if norm is not None:
            update_teacher(state.teacher, state.student, momentum)
        state.step += 1
        values = dict(zip(("loss", "dino", "ibot", "koleo"), _mean_over_ranks(losses), strict=True))
        scheduled = {"lr": lr, "teacher_temperature": temperature, "ema_momentum": momentum}
        return self.row() | values | scheduled | {"grad_norm": float("nan") if norm is None else norm}

    def row(self) -> dict[str, Any]:
        """A row of this step with the probe's numbers where it is a probe step, the rest null."""
        row: dict[str, Any] = dict.fromkeys(CURVES) | {"route": self.route, "step": self.state.step}
        step = self.state.step
        if step % self.settings.probe_every == 0 or step == self.settings.steps:
            row["effective_rank"], row["view_retrieval"] = self.probe.measure(self.state.teacher.backbone)
        return row


def pretrain(
    settings: BackboneSettings,
    tars: Sequence[Path],
    out: Path,
    *,
    route: str,
    resume: bool = True,
    report: Report | None = None,
    stop_after: int | None = None,
    open_reader: OpenReader = EpochReader,
    recipe: Recipe | None = None,
) -> TrainingResult:
    """Train one encoder.

    Under torchrun every process calls this with the same arguments; ``batch_size`` is per process. Checkpoints lie in
    ``out/checkpoints`` every ``checkpoint_every`` steps and at the end; a killed run called again with ``resume``
    goes on from the last whole one and ends with bitwise the same weights (same machine, same number of threads).

    Args:
        settings: of the profile.
        tars: shards of this route; those in a folder ``val`` are only probed, the others trained on.
        out: folder of the encoder and of the checkpoints.
        route: "t1" or "t2".
        resume: go on from a checkpoint in ``out``; False begins afresh and removes it.
        report: called on rank 0 with the numbers of every step.
        stop_after: stop at this step with a checkpoint; the encoder written then is marked as not trained.
        open_reader: opens shards.
        recipe: what is trained; None trains the ViT of the settings.

    Returns:
        With fewer than ``min_train_slices`` slices (beside those held out for the probe) that of ``untrained``.

    Raises:
        TrainingDiverged: too many bad steps in a row.
        CheckpointMismatch: ``out`` holds a checkpoint of another run.
    """
    recipe = recipe or single_route(settings, route)
    train_tars, val_tars = split_tars(tars)
    train_keys, val_keys = _slice_keys(train_tars, open_reader), _slice_keys(val_tars, open_reader)
    if len(train_keys) < settings.min_train_slices:
        return untrained(settings, out, route=route, recipe=recipe)
    probe = Probe(tars, settings, open_reader=open_reader)
    n_train = len(train_keys) - len(probe.excluded)
    if n_train < settings.min_train_slices:
        return untrained(settings, out, route=route, recipe=recipe)
    identity = {
        "route": route,
        "settings": settings.model_dump(mode="json"),
        "slices": hashlib.sha256("\n".join([*train_keys, "", *val_keys]).encode()).hexdigest(),
    } | recipe.identity
    device = join_process_group()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        run = _Run(settings, route, device, probe, recipe)
        state, folder = run.state, out / CHECKPOINTS
        last = checkpoint.latest(folder)
        if last is not None and resume:
            checkpoint.restore(last, state, identity=identity)
        elif rank() == 0:
            checkpoint.remove(folder)
        barrier()
        _train(run, train_tars, folder, identity, report, stop_after, open_reader)
        trained = state.step == settings.steps
        if rank() == 0:
            recipe.save(out, state.teacher.backbone, trained)
        barrier()
        curves = pl.DataFrame(state.rows, schema=CURVES)
        card = recipe.identity | {
            "name": recipe.name,
            "route": route,
            "version": version_of(out, recipe.weights),
            "trained": trained,
            "steps": state.step,
            "skipped_steps": state.optimiser.skipped,
            "train_slices": n_train,
            "probe_slices": probe.n_slices,
            "probe_held_out_of_train": len(probe.excluded),
            "slices_sha256": identity["slices"],
            "processes": world_size(),
            "settings": identity["settings"],
            "health": [finding._asdict() for finding in health(curves, settings)],
        }
        if rank() == 0:
            write_card(out, card)
        return TrainingResult(out, curves, card)


def _train(
    run: _Run,
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


def _record(run: _Run, row: dict[str, Any], report: Report | None) -> None:
    run.state.rows.append(row)
    if report is not None and rank() == 0:
        report({name: float(value) for name, value in row.items() if name != "route" and value is not None})
