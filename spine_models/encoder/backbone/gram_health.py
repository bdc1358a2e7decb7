"""Whether Gram anchoring worked, judged from its curves.

Belongs here: the checks of that stage and their bounds. Does not belong here: those of pretraining (health).
"""

from __future__ import annotations

import math

import polars as pl

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.health import LEARNING_MARGIN, HealthFinding

SHARE = 0.1  # of the steps, at either end of the run
RETRIEVAL_OF_START = 0.8
RANK_OF_START = 0.8


def gram_health(curves: pl.DataFrame, settings: BackboneSettings) -> list[HealthFinding]:
    """Judge one route's curves of the anchoring; an empty frame fails every check but the last.

    The stage is to bring patches of the student to the similarities that a sharper view of them has, without losing
    what pretraining taught. So the Gram loss must fall, and what pretraining is judged by must stay.

    Args:
        curves: CURVES rows of one route's anchoring; step 0 is the probe before the first step.
        settings: the backbone's.
    """
    steps = curves.filter(pl.col("gram").is_finite()).sort("step")
    n = max(1, math.ceil(SHARE * steps.height))
    first, last = _mean(steps["gram"].head(n)), _mean(steps["gram"].tail(n))
    dino = _mean(steps["dino"].tail(n))
    bound = math.log(settings.prototypes) - LEARNING_MARGIN
    skipped = float(curves.filter(pl.col("grad_norm").is_nan()).height)
    return [
        HealthFinding(
            "gram_falls",
            last < first,
            last,
            first,
            f"Gram loss over the last {n} steps lies below that of the first {n}",
        ),
        HealthFinding(
            "dino_kept",
            dino < bound,
            dino,
            bound,
            f"DINO loss over the last {n} steps lies below ln {settings.prototypes} - {LEARNING_MARGIN}",
        ),
        _kept("views_still_found", curves, "view_retrieval", RETRIEVAL_OF_START),
        _kept("rank_kept", curves, "effective_rank", RANK_OF_START),
        HealthFinding(
            "no_step_skipped",
            skipped == 0,
            skipped,
            0.0,
            "number of steps whose loss or gradient was not finite",
        ),
    ]


def _kept(name: str, curves: pl.DataFrame, column: str, share: float) -> HealthFinding:
    probed = curves.sort("step")[column].drop_nulls().to_list()
    value, bound = (probed[-1], share * probed[0]) if probed else (math.nan, math.nan)
    return HealthFinding(
        name, value >= bound, value, bound, f"{column} is at least {share:g} of what it was before the stage"
    )


def _mean(values: pl.Series) -> float:
    return float(values.mean()) if len(values) else math.nan
