"""What the rest of a study tells of a series that does not name its region.

Belongs here: the region of an unnamed series from its siblings, and from the levels that people graded. Does not belong
here: names (`region`).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from spine_models.domain import Region

_PART_OF: Final = {"C": Region.CERVICAL.value, "T": Region.THORACIC.value, "L": Region.LUMBAR.value}
"""Part by the first letter of a level's upper vertebra (``L5-S1``)."""
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
    """`SERIES` with regions filled in where no series of a study names a part and people graded levels of one part.

    A cohort as RSNA LumbarDISC ships it has no names in its headers: that its studies show the lumbar spine is said by
    the table of grades alone. Boxes tell nothing, a reader may box what is at the edge. Evidence becomes
    ``annotations``.

    Args:
        series: `SERIES`.
        annotations: ``deid.ANNOTATIONS``; of its rows only study_key, kind and level count.
    """
    graded = annotations.filter(pl.col("kind").is_in(_GRADED) & pl.col("level").is_not_null())
    part = pl.col("level").str.slice(0, 1).replace_strict(_PART_OF, default=None, return_dtype=pl.String)
    of_study = (
        graded.group_by("study_key").agg(part.drop_nulls().unique().alias("parts"))
        .filter(pl.col("parts").list.len() == 1)
        .select("study_key", part=pl.col("parts").list.first())
    )  # fmt: skip
    unnamed = pl.col("region").is_in([Region.UNKNOWN.value, Region.SPINE.value]).all().over("study_key")
    open_ones = unnamed & pl.col("part").is_not_null()
    return (
        series.join(of_study, on="study_key", how="left", maintain_order="left")
        .with_columns(
            pl.when(open_ones).then("part").otherwise("region").alias("region"),
            pl.when(open_ones)
            .then(pl.lit("annotations"))
            .otherwise("region_evidence")
            .alias("region_evidence"),
        )
        .select(series.columns)
    )
