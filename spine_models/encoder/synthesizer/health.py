"""Whether the gates' training with reports worked.

Belongs here: which rows are judged. Does not belong here: the bounds (``clip.health``).
"""

from __future__ import annotations

import polars as pl

from spine_models.encoder.backbone.health import HealthFinding
from spine_models.encoder.clip.health import clip_health


def align_health(curves: pl.DataFrame, retrieval: pl.DataFrame) -> list[HealthFinding]:
    """Judge by what held-out studies find with all their series, after training; findings of ``clip_health``.

    Args:
        curves: ALIGN_CURVES rows.
        retrieval: ALIGN_RETRIEVAL rows.
    """
    return clip_health(curves, retrieval.filter(pl.col("stage") == "after", pl.col("series") == "all"))
