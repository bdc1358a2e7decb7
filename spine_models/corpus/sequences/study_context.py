"""What the other series of a study tell of one that does not name its region.

Belongs here: the region of an unnamed series from its siblings. Does not belong here: names (`region`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from spine_models.domain import Region

_PARTS: Final = [Region.CERVICAL.value, Region.THORACIC.value, Region.LUMBAR.value]


def regions_from_siblings(series: pl.DataFrame) -> pl.DataFrame:
    """`SERIES` with regions filled in where all named parts of a study's other series are the same part.

    An examination of one part is the rule; one that names two parts (a whole spine in stations) tells nothing of the
    rest. A series that names another body part keeps it. Evidence becomes ``study``.
    """
    named = pl.col("region").filter(pl.col("region").is_in(_PARTS))
    of_study = series.group_by("study_key").agg(named.n_unique().alias("parts"), named.first().alias("part"))
    open_ones = (pl.col("region") == Region.UNKNOWN.value) & (pl.col("parts") == 1)
    return (
        series.join(of_study, on="study_key", how="left", maintain_order="left")
        .with_columns(
            pl.when(open_ones).then("part").otherwise("region").alias("region"),
            pl.when(open_ones).then(pl.lit("study")).otherwise("region_evidence").alias("region_evidence"),
        )
        .select(series.columns)
    )
