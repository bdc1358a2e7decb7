"""Whether a training run worked, judged from its curves.

Belongs here: the checks and their bounds. Does not belong here: measuring (probe), stopping a run (optim).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import polars as pl

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.tables import RETRIEVAL_GROUP

LEARNING_MARGIN = 0.5  # nats below ln K
RETRIEVAL_OVER_CHANCE = 5.0
# Features of an untrained network are noise: training compresses them, but not to less than half, and in the second
# half of a run nothing may fall any more.
RANK_OF_START = 0.5
RANK_OF_MIDDLE = 0.8
LAST_SHARE = 0.05  # of the steps, that the final DINO loss is averaged over


class HealthFinding(NamedTuple):
    """One check; ``value`` is NaN where the curves do not tell."""

    name: str
    passed: bool
    value: float
    bound: float
    description: str


def _probed(curves: pl.DataFrame, column: str) -> list[float]:
    return curves.sort("step")[column].drop_nulls().to_list()


def health(curves: pl.DataFrame, settings: BackboneSettings) -> list[HealthFinding]:
    """Judge one route's curves; an empty frame fails every check but the last.

    DINO loss alone is not enough, nor are rank and KoLeo: on the plateau of a run that learns nothing, the loss stays
    at ln K while rank rises and KoLeo falls.

    Args:
        curves: CURVES rows of one route.
        settings: those of the run.
    """
    finite = curves.filter(pl.col("dino").is_finite()).sort("step")
    n_last = max(1, math.ceil(LAST_SHARE * finite.height))
    dino = float(finite["dino"].tail(n_last).mean()) if finite.height else math.nan
    dino_bound = math.log(settings.prototypes) - LEARNING_MARGIN
    retrieval, ranks = _probed(curves, "view_retrieval"), _probed(curves, "effective_rank")
    last_retrieval = retrieval[-1] if retrieval else math.nan
    group = min(RETRIEVAL_GROUP, settings.probe_slices)
    retrieval_bound = RETRIEVAL_OVER_CHANCE / group
    last_rank = ranks[-1] if ranks else math.nan
    middle = ranks[len(ranks) // 2] if ranks else math.nan
    rank_bound = max(RANK_OF_START * ranks[0], RANK_OF_MIDDLE * middle) if ranks else math.nan
    skipped = float(curves.filter(pl.col("grad_norm").is_nan()).height)
    return [
        HealthFinding(
            "dino_learns",
            dino < dino_bound,
            dino,
            dino_bound,
            f"DINO loss over the last {n_last} steps lies below ln {settings.prototypes} - {LEARNING_MARGIN}",
        ),
        HealthFinding(
            "views_found",
            last_retrieval > retrieval_bound,
            last_retrieval,
            retrieval_bound,
            f"one view finds the other among {group} slices more than {RETRIEVAL_OVER_CHANCE:g} times as often as by "
            "chance",
        ),
        HealthFinding(
            "rank_kept",
            last_rank >= rank_bound,
            last_rank,
            rank_bound,
            f"effective rank of the features is at least {RANK_OF_START:g} of what it was before training and "
            f"{RANK_OF_MIDDLE:g} of what it was half way",
        ),
        HealthFinding(
            "no_step_skipped",
            skipped == 0,
            skipped,
            0.0,
            "number of steps whose loss or gradient was not finite",
        ),
    ]
