"""Numbers that change with the step: learning rate, teacher temperature, EMA momentum.

``step`` is the number of steps taken before this one: 0 for the first, ``settings.steps`` - 1 for the last.

Belongs here: pure functions of settings and step. Does not belong here: anything that remembers.
"""

from __future__ import annotations

import math

from spine_models.config import BackboneSettings


def _cosine(start: float, end: float, done: float) -> float:
    """Half a cosine from ``start`` at 0 to ``end`` at 1."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(max(done, 0.0), 1.0)))


def learning_rate(settings: BackboneSettings, step: int) -> float:
    """Linear from 0 over W = ``warmup_steps``, then constant, or half a cosine that is 0 at the last step.

    lr * step / W below W; then lr, or lr / 2 * (1 + cos(pi * (step - W) / (steps - 1 - W))).
    """
    if step < settings.warmup_steps:
        return settings.lr * step / settings.warmup_steps
    if settings.lr_schedule == "constant":
        return settings.lr
    remaining = max(settings.steps - 1 - settings.warmup_steps, 1)
    return _cosine(settings.lr, 0.0, (step - settings.warmup_steps) / remaining)


def last_layer_learning_rate(settings: BackboneSettings, step: int) -> float:
    """That of the prototypes: 0 for the first ``freeze_last_layer_steps``, then as all others (DINO, Caron 2021)."""
    return 0.0 if step < settings.freeze_last_layer_steps else learning_rate(settings, step)


def teacher_temperature(settings: BackboneSettings, step: int) -> float:
    """Linear from ``teacher_temperature`` to its end over ``teacher_temperature_steps``, then constant.

    start + (end - start) * min(step / teacher_temperature_steps, 1).
    """
    done = min(step / max(settings.teacher_temperature_steps, 1), 1.0)
    return settings.teacher_temperature + done * (
        settings.teacher_temperature_end - settings.teacher_temperature
    )


def ema_momentum(settings: BackboneSettings, step: int) -> float:
    """Half a cosine from ``ema_momentum`` to ``ema_momentum_end`` over all steps.

    end + (start - end) / 2 * (1 + cos(pi * step / (steps - 1))).
    """
    return _cosine(settings.ema_momentum, settings.ema_momentum_end, step / max(settings.steps - 1, 1))
