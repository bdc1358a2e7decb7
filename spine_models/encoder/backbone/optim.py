"""AdamW over the student, and the one place that decides whether a step is taken.

Belongs here: parameter groups, clipping, skipping a step that is not finite. Does not belong here: schedules, EMA.
"""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor, nn

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.distributed import full, maximum

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


def is_last_layer(name: str) -> bool:
    """Whether a parameter is the prototypes of a head."""
    return ".prototypes." in name


def parameter_groups(network: nn.Module, settings: BackboneSettings) -> list[dict]:
    """Groups for AdamW by (learning-rate factor, weight decay), in ascending order of the two.

    Where the settings freeze the last layer for a while, the prototypes are a group of their own.

    Args:
        network: a ``Network``; names of other modules count as its last layer.
        settings: depth, layer_decay and weight_decay.

    Returns:
        ``params``, ``lr_scale``, ``weight_decay`` (the settings' or 0), ``last_layer`` and ``lr`` (0 until a step sets
        lr * lr_scale) of each group; every parameter is in one.
    """
    groups: dict[tuple[float, float, bool], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        decay = settings.weight_decay if is_decayed(name, parameter) else 0.0
        last = settings.freeze_last_layer_steps > 0 and is_last_layer(name)
        key = (lr_scale(name, settings.depth, settings.layer_decay), decay, last)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr_scale": scale, "weight_decay": decay, "last_layer": last, "lr": 0.0}
        for (scale, decay, last), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


class GuardedAdamW:
    """AdamW (betas 0.9 and ``beta2``, epsilon 1e-8) that clips the whole student's gradient and skips bad steps.

    With n the L2 norm of all gradients together, each is multiplied by min(1, clip_grad / (n + 1e-6)).

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

    def step(self, loss: Tensor, lr: float, *, last_layer_lr: float | None = None) -> float | None:
        """Backward, clip and update with learning rate ``lr``, or ``last_layer_lr`` for prototypes grouped apart.

        With a rate of 0 a parameter and its decay stand still; its gradient counts in the norm and in its moments.

        Returns:
            The gradient's norm before clipping, or None when the step was skipped.

        Raises:
            TrainingDiverged: ``max_skipped_steps`` bad steps in a row.
        """
        self.adamw.zero_grad(set_to_none=True)
        loss.backward()
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        # Gradients are already the mean over ranks here, so every rank sees the same norm.
        total = full(nn.utils.get_total_norm(gradients))
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
            own = last_layer_lr if group["last_layer"] and last_layer_lr is not None else lr
            group["lr"] = own * group["lr_scale"]
        self.adamw.step()
        return norm

    @staticmethod
    def _agreed(loss: Tensor, norm: Tensor) -> float:
        """The norm, NaN where any rank's loss is not finite. The step waits for its device here alone."""
        bad = maximum((~torch.isfinite(loss)).to(norm).reshape(1))
        return float(torch.where(bad > 0, math.nan, norm))
