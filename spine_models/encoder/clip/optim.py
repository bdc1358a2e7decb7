"""AdamW over the alignment, its learning rate, and the one place that decides whether a step is taken.

Belongs here: parameter groups, averaging gradients over ranks, clipping, skipping. Does not belong here: backward.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from spine_models.encoder.backbone.distributed import maximum, summed, world_size
from spine_models.encoder.backbone.optim import TrainingDiverged


class Schedule(Protocol):
    """What is needed of ``config.ClipSettings`` or ``config.AlignSettings``."""

    lr: float
    warmup_steps: int
    weight_decay: float
    clip_grad: float
    max_skipped_steps: int


def learning_rate(settings: Schedule, step: int) -> float:
    """Linear to ``lr`` over ``warmup_steps``, the first step's being above 0, then constant."""
    return settings.lr * min((step + 1) / (settings.warmup_steps + 1), 1.0)


def is_decayed(name: str, parameter: Tensor) -> bool:
    """Weight decay is for matrices of linear maps: not for biases, norms, embeddings or the temperature."""
    return parameter.ndim > 1 and not name.endswith(("tokens.weight", "positions", "kind.weight"))


class ClipOptimiser:
    """AdamW (betas 0.9 and 0.999) on gradients that are already there; a step that is not finite changes nothing.

    Parameters that ask for no gradient are left alone. ``section`` names the settings in messages.

    Attributes:
        skipped: bad steps so far.
        skipped_in_row: bad steps since the last good one.
    """

    def __init__(self, network: nn.Module, settings: Schedule, *, section: str = "clip") -> None:
        named = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
        self._parameters = [p for _, p in named]
        self._clip, self._limit, self._section = settings.clip_grad, settings.max_skipped_steps, section
        decayed = [p for n, p in named if is_decayed(n, p)]
        free = [p for n, p in named if not is_decayed(n, p)]
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.999))
        self.skipped = self.skipped_in_row = 0

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self.adamw.zero_grad(set_to_none=True)

    def step(self, loss: Tensor, lr: float) -> float | None:
        """Average the gradients over ranks, clip them by their norm and update.

        Args:
            loss: detached; where it or the gradient's norm is not finite on any rank, no rank takes the step.
            lr: learning rate of this step.

        Returns:
            The gradient's norm before clipping, or None when the step was skipped.

        Raises:
            TrainingDiverged: ``max_skipped_steps`` bad steps in a row.
        """
        norm = math.nan
        if not bool(maximum((~torch.isfinite(loss)).float().reshape(1)).item()):
            if world_size() > 1:
                for parameter in self._parameters:
                    own = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                    parameter.grad = summed(own) / world_size()
            norm = float(nn.utils.clip_grad_norm_(self._parameters, self._clip))
        if not math.isfinite(norm):
            self.skipped += 1
            self.skipped_in_row += 1
            if self.skipped_in_row >= self._limit:
                raise TrainingDiverged(
                    f"{self.skipped_in_row} steps in a row had a loss or gradient that is not finite: "
                    f"lower {self._section}.lr and start afresh"
                )
            return None
        self.skipped_in_row = 0
        for group in self.adamw.param_groups:
            group["lr"] = lr
        self.adamw.step()
        return norm
