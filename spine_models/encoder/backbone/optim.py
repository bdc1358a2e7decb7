"""AdamW over the student, and the one place that decides whether a step is taken.

Belongs here: parameter groups, clipping, skipping a step that is not finite. Does not belong here: schedules, EMA.
"""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor, nn

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.distributed import maximum

_BLOCK = re.compile(r"backbone\.vit\.blocks\.(\d+)\.")
_STEM = re.compile(r"backbone\.(mask_token|vit\.(patch_embed|cls_token|reg_token))")


class TrainingDiverged(RuntimeError):
    """Too many steps in a row had a loss or gradient that is not finite."""


def lr_scale(name: str, depth: int, layer_decay: float) -> float:
    """Learning-rate factor of a parameter: decay to the power of its distance from the last layer.

    Patch embedding and tokens are layer 0, block i is layer i + 1, final norms and heads are layer depth + 1.
    """
    block = _BLOCK.match(name)
    layer = int(block.group(1)) + 1 if block else 0 if _STEM.match(name) else depth + 1
    return layer_decay ** (depth + 1 - layer)


def is_decayed(name: str, parameter: Tensor) -> bool:
    """Weight decay is for matrices: not for norms, biases, LayerScale or tokens."""
    return parameter.ndim > 1 and not name.endswith("_token")


def parameter_groups(network: nn.Module, settings: BackboneSettings) -> list[dict]:
    """Groups for AdamW by (learning-rate factor, weight decay), each with its ``lr_scale``, in a fixed order."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        decay = settings.weight_decay if is_decayed(name, parameter) else 0.0
        groups.setdefault((lr_scale(name, settings.depth, settings.layer_decay), decay), []).append(parameter)
    return [
        {"params": parameters, "lr_scale": scale, "weight_decay": decay, "lr": 0.0}
        for (scale, decay), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


class GuardedAdamW:
    """AdamW (betas 0.9 and ``beta2``) that clips the whole student's gradient by its global norm and skips bad steps.

    A step is bad when the loss of any rank or the gradient's norm is not finite. Then neither the weights nor the
    optimiser's moments change, and the caller leaves the teacher alone too.

    Attributes:
        skipped: bad steps so far.
        skipped_in_row: bad steps since the last good one.
    """

    def __init__(self, network: nn.Module, settings: BackboneSettings, *, beta2: float = 0.999) -> None:
        self._parameters = list(network.parameters())
        self._clip, self._limit = settings.clip_grad, settings.max_skipped_steps
        self.adamw = torch.optim.AdamW(parameter_groups(network, settings), betas=(0.9, beta2), fused=True)
        self.skipped = self.skipped_in_row = 0

    def step(self, loss: Tensor, lr: float) -> float | None:
        """Backward, clip and update with learning rate ``lr``.

        Returns:
            The gradient's norm before clipping, or None when the step was skipped.

        Raises:
            TrainingDiverged: ``max_skipped_steps`` bad steps in a row.
        """
        self.adamw.zero_grad(set_to_none=True)
        loss.backward()
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        # Gradients are already the mean over ranks here, so every rank sees the same norm.
        total = nn.utils.get_total_norm(gradients)
        norm = self._agreed(loss.detach(), total)
        if not math.isfinite(norm):
            self.adamw.zero_grad(set_to_none=True)
            self.skipped += 1
            self.skipped_in_row += 1
            if self.skipped_in_row >= self._limit:
                raise TrainingDiverged(
                    f"{self.skipped_in_row} steps in a row had a loss or gradient that is not finite: "
                    "lower backbone.lr or raise backbone.teacher_temperature and start afresh"
                )
            return None
        self.skipped_in_row = 0
        if norm + 1e-6 > self._clip:  # torch clips by clip / (norm + 1e-6); below, its factor is 1
            nn.utils.clip_grads_with_norm_(self._parameters, self._clip, total)
        for group in self.adamw.param_groups:
            group["lr"] = lr * group["lr_scale"]
        self.adamw.step()
        return norm

    @staticmethod
    def _agreed(loss: Tensor, norm: Tensor) -> float:
        """The norm, NaN where any rank's loss is not finite. The step waits for its device here alone."""
        bad = maximum((~torch.isfinite(loss)).to(norm).reshape(1))
        return float(torch.where(bad > 0, math.nan, norm))
