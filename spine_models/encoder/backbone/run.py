"""One run on this process: student, teachers, optimiser and curves, and what one step does to them.

Belongs here: the state and a single step. Does not belong here: the loop over data, files, who starts it (loop, train,
anchor).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone import checkpoint, schedule
from spine_models.encoder.backbone.augment import Crops
from spine_models.encoder.backbone.data import Position
from spine_models.encoder.backbone.distributed import rank, summed, world_size
from spine_models.encoder.backbone.gram_teacher import GramTeacher, refresh_due
from spine_models.encoder.backbone.masking import batch_masks
from spine_models.encoder.backbone.objective import Losses, objective
from spine_models.encoder.backbone.optim import GuardedAdamW
from spine_models.encoder.backbone.probe import Probe
from spine_models.encoder.backbone.recipe import Recipe, single_route
from spine_models.encoder.backbone.tables import CURVES
from spine_models.encoder.backbone.teacher import make_teacher, update_teacher


def _generator_seed(*parts: int) -> int:
    """A seed that differs whenever one of the parts does."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _mean_over_ranks(losses: Losses) -> dict[str, float]:
    own = {name: value.detach() for name, value in losses._asdict().items() if value is not None}
    means = (summed(torch.stack(list(own.values()))) / world_size()).tolist()
    return dict(zip(["loss" if name == "total" else name for name in own], means, strict=True))


class Run:
    """Student, teacher, optimiser and curves of one run on this process; with ``gram`` a Gram teacher too."""

    def __init__(
        self,
        settings: BackboneSettings,
        route: str,
        device: torch.device,
        probe: Probe,
        *,
        gram: GramTeacher | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        self.settings, self.route, self.device, self.probe = settings, route, device, probe
        torch.manual_seed(settings.seed)
        student = (recipe or single_route(settings, route)).build().to(device).train()
        torch.manual_seed(_generator_seed(settings.seed, rank()))
        lanes = max(settings.workers, 1)
        if gram is not None:
            gram.backbone.to(device)
        self.state = checkpoint.RunState(
            student=student,
            teacher=make_teacher(student),
            optimiser=GuardedAdamW(student, settings, beta2=0.999 if gram is None else gram.settings.beta2),
            step=0,
            positions=[Position(0, 0)] * lanes,
            spoilt=[dict(probe.spoilt) for _ in range(lanes)],
            rows=[],
            gram=gram,
        )

    @property
    def gram_px(self) -> int | None:
        """Edge of the Gram teacher's crops; None in pretraining."""
        return None if self.state.gram is None else self.state.gram.settings.px

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
        losses = objective(
            student, state.teacher, crops, masks, settings, temperature=temperature, gram=state.gram
        )
        norm = state.optimiser.step(losses.total, lr)
        if norm is not None:
            update_teacher(state.teacher, state.student, momentum)
        state.step += 1
        if state.gram is not None and refresh_due(state.gram.settings, state.step):
            state.gram.refresh(state.teacher.backbone)
        scheduled = {"lr": lr, "teacher_temperature": temperature, "ema_momentum": momentum}
        taken = {"grad_norm": float("nan") if norm is None else norm}
        return self.row() | _mean_over_ranks(losses) | scheduled | taken

    def row(self) -> dict[str, Any]:
        """A row of this step with the probe's numbers where it is a probe step, the rest null."""
        row: dict[str, Any] = dict.fromkeys(CURVES) | {"route": self.route, "step": self.state.step}
        step = self.state.step
        if step % self.settings.probe_every == 0 or step == self.settings.steps:
            row["effective_rank"], row["view_retrieval"] = self.probe.measure(self.state.teacher.backbone)
        return row
