"""Whether a training of the report model went well, judged from its curves.

Belongs here: the checks and their bounds. Does not belong here: what its texts say (``fitness``, ``reporting.scores``).
"""

from __future__ import annotations

import math

import polars as pl

from spine_models.encoder.backbone.health import HealthFinding

SHARE = 0.1
"""Of the steps, at the beginning and at the end, that are compared where nothing was held out."""


def llava_health(curves: pl.DataFrame) -> list[HealthFinding]:
    """Judge a training; an empty frame fails every check but the last.

    The loss is that on held-out reports, after the first step and after the last: losses of steps differ with what
    was drawn. Without val studies it is theirs.
    """
    held_out = curves["val_loss"].drop_nulls()
    held_out = held_out.filter(held_out.is_finite())
    losses = held_out if len(held_out) > 1 else curves.filter(pl.col("loss").is_finite())["loss"]
    n = 1 if losses is held_out else max(1, round(SHARE * len(losses)))
    first, last = _mean(losses.head(n)), _mean(losses.tail(n))
    skipped = float(curves.filter(pl.col("grad_norm").is_nan()).height)
    return [
        HealthFinding(
            "loss_falls",
            last < first,
            last,
            first,
            "nats a token at the end are below those at the beginning",
        ),
        HealthFinding(
            "no_step_skipped",
            skipped == 0,
            skipped,
            0.0,
            "number of steps whose loss or gradient was not finite",
        ),
    ]


def _mean(values: pl.Series) -> float:
    return float(values.mean()) if len(values) else math.nan
