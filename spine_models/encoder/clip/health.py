"""Whether an alignment worked, judged from its curves and from what held-out studies find.

Belongs here: the checks and their bounds. Does not belong here: measuring (``retrieval``).
"""

from __future__ import annotations

import math

import polars as pl

from spine_models.encoder.backbone.health import HealthFinding

RECALL_OVER_CHANCE = 1.5


def clip_health(curves: pl.DataFrame, retrieval: pl.DataFrame) -> list[HealthFinding]:
    """Judge an alignment; empty frames fail every check but the last.

    Recall at 5 and median rank are means over the pairs and directions that held-out studies have. Recall at 1 is not
    judged: reports of two patients with the same findings may well be the same.

    Args:
        curves: CURVES rows.
        retrieval: RETRIEVAL rows of held-out studies.
    """
    known = retrieval.filter(pl.col("n") > 0)
    recall, chance = _mean(known["recall_5"]), _mean(known["chance_recall_5"])
    rank, middle = _mean(known["median_rank"]), _mean(known["chance_median_rank"])
    skipped = float(curves.filter(pl.col("grad_norm").is_nan()).height)
    return [
        HealthFinding(
            "pairs_are_found",
            recall > RECALL_OVER_CHANCE * chance,
            recall,
            RECALL_OVER_CHANCE * chance,
            f"a held-out study's other half is among the first five more than {RECALL_OVER_CHANCE:g} times as often as "
            "by chance",
        ),
        HealthFinding(
            "ranks_above_chance",
            rank < middle,
            rank,
            middle,
            "median rank of the other half is better than chance",
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
