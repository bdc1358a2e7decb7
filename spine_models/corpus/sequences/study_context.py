"""What the rest of a study tells of a series that does not name its region.

Belongs here: the region of an unnamed series from its siblings, and from the levels that people graded. Does not belong
here: names (`region`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from spine_models.domain import Region

_GRADED: Final = ("label", "point")
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


def regions_from_grades(series: pl.DataFrame, annotations: pl.DataFrame) -> pl.DataFrame:
    """`SERIES` with region lumbar where no series of a study names any region and people graded lumbar levels.

    A cohort as RSNA LumbarDISC ships it has no names in its headers: that its studies show the lumbar spine is said by
    the table of grades alone. Boxes tell nothing, a reader may box what is at the edge. Evidence becomes
    ``annotations``.

    Args:
        series: `SERIES`.
        annotations: ``deid.ANNOTATIONS``; of its rows only study_key, kind and level count.
    """
    graded = annotations.filter(pl.col("kind").is_in(_GRADED) & pl.col("level").is_not_null())
    lumbar = graded.group_by("study_key").agg(pl.col("level").str.starts_with("L").all().alias("lumbar"))
    unnamed = (pl.col("region") == Region.UNKNOWN.value).all().over("study_key")
    told = unnamed & pl.col("lumbar").fill_null(False)
    return (
        series.join(lumbar, on="study_key", how="left", maintain_order="left")
        .with_columns(
            pl.when(told).then(pl.lit(Region.LUMBAR.value)).otherwise("region").alias("region"),
            pl.when(told).then(pl.lit("annotations")).otherwise("region_evidence").alias("region_evidence"),
        )
        .select(series.columns)
    )
