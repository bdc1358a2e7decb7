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
from spine_models.encoder.backbone.blocks import prepare_blocks
from spine_models.encoder.backbone.data import Position
from spine_models.encoder.backbone.distributed import rank, summed, world_size
from spine_models.encoder.backbone.gram_teacher import GramTeacher, refresh_due
from spine_models.encoder.backbone.masking import batch_masks
from spine_models.encoder.backbone.objective import Losses, objective
from spine_models.encoder.backbone.optim import GuardedAdamW
from spine_models.encoder.backbone.probe import Probe
from spine_models.encoder.backbone.recipe import Recipe, single_route
from spine_models.encoder.backbone.sharding import (
    deal_backbone,
    deal_student,
    deal_teacher,
    mesh_of,
    take_out,
)
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
        self.recipe = recipe or single_route(settings, route)
        self.dealt = settings.parallel == "fsdp2" and world_size() > 1
        # What will be dealt is moved to the device part by part, when it is.
        home = torch.device("cpu") if self.dealt else device
        torch.manual_seed(settings.seed)
        student = self.recipe.build().to(home).train()
        torch.manual_seed(_generator_seed(settings.seed, rank()))
        lanes = max(settings.workers, 1)
        if gram is not None:
            gram.backbone.to(home)
        self.state = checkpoint.RunState(
            student=student,
            teacher=make_teacher(student),
            optimiser=self._optimiser(student, gram),
            step=0,
            positions=[Position(0, 0)] * lanes,
            spoilt=[dict(probe.spoilt) for _ in range(lanes)],
            rows=[],
            gram=gram,
        )

    def _optimiser(self, student: nn.Module, gram: GramTeacher | None) -> GuardedAdamW:
        return GuardedAdamW(student, self.settings, beta2=0.999 if gram is None else gram.settings.beta2)

    def prepare(self) -> None:
        """Give the networks the form that they are trained in: compiled, recomputed, dealt, as the settings say.

        Call it once, when the weights that the run starts from are in and before a checkpoint is restored.
        """
        state = self.state
        prepare_blocks(state.student.backbone, self.settings)
        if not self.dealt:
            return
        mesh = mesh_of(self.device)
        deal_student(state.student, mesh)
        deal_teacher(state.teacher, mesh)
        if state.gram is not None:
            deal_backbone(state.gram.backbone, mesh)
            state.gram.backbone.to(self.device)
        # What is dealt is there already; a backbone may hold frozen networks besides.
        state.student.to(self.device)
        state.teacher.to(self.device)
        state.optimiser = self._optimiser(state.student, state.gram)  # of the parameters that there are now

    def teacher_in_full(self) -> nn.Module:
        """The teacher's backbone as an encoder's weights; every rank calls this, and rank 0 may use what it gets."""
        backbone = self.state.teacher.backbone
        if not self.dealt:
            return backbone
        plain = None
        if rank() == 0:
            with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                plain = self.recipe.build().backbone
        take_out(backbone, plain)
        return backbone if plain is None else plain

    @property
    def gram_px(self) -> int | None:
        """Edge of the Gram teacher's crops; None in pretraining."""
        return None if self.state.gram is None else self.state.gram.settings.px

    def wrapped(self) -> nn.Module:
        """The student as training calls it."""
        if world_size() == 1 or self.dealt:
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
