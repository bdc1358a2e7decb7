"""One run on this process: student, teachers, optimiser and curves, and what one step does to them.

Belongs here: the state, and what a step leaves in it. Does not belong here: what a step computes (one_step), the loop
over data, files, who starts it (loop, train, anchor).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone import checkpoint
from spine_models.encoder.backbone.augment import Crops
from spine_models.encoder.backbone.data import Position
from spine_models.encoder.backbone.distributed import rank, world_size
from spine_models.encoder.backbone.gram_teacher import GramTeacher, refresh_due
from spine_models.encoder.backbone.one_step import take_step
from spine_models.encoder.backbone.optim import GuardedAdamW
from spine_models.encoder.backbone.probe import Probe
from spine_models.encoder.backbone.recipe import Recipe, single_route
from spine_models.encoder.backbone.tables import CURVES
from spine_models.encoder.backbone.teacher import make_teacher


def _generator_seed(*parts: int) -> int:
    """A seed that differs whenever one of the parts does."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


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
        state = self.state
        numbers = take_step(
            self.settings,
            crops,
            step=state.step,
            student=student,
            teacher=state.teacher,
            optimiser=state.optimiser,
            gram=state.gram,
        )
        state.step += 1
        if state.gram is not None and refresh_due(state.gram.settings, state.step):
            state.gram.refresh(state.teacher.backbone)
        return self.row() | numbers

    def row(self) -> dict[str, Any]:
        """A row of this step with the probe's numbers where it is a probe step, the rest null."""
        row: dict[str, Any] = dict.fromkeys(CURVES) | {"route": self.route, "step": self.state.step}
        step = self.state.step
        if step % self.settings.probe_every == 0 or step == self.settings.steps:
            row["effective_rank"], row["view_retrieval"] = self.probe.measure(self.state.teacher.backbone)
        return row
