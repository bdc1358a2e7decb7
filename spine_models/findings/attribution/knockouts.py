"""What a probability becomes without one series, or without a whole sequence.

Everything is computed again from what is left: the mean over the other series, and the heads that judge a study with
those sequences. Nothing is put in the place of what is missing.

Belongs here: the studies with something left out, and asking the heads. Does not belong here: contributions to one
fixed sum (``weights``); leaving a part out is not the same as taking its contribution away.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from spine_models.findings.attribution.tables import KNOCKOUTS
from spine_models.findings.attribution.terms import widths_of
from spine_models.findings.embeddings.pooling import pool_studies
from spine_models.findings.probes.heads import Heads

NOTHING_LEFT: Final = "nothing is left of the study"
NO_HEAD: Final = "no head judges the sequences that are left"
STUDIES_AT_ONCE: Final = 8
"""Every series and route of a study makes another study vector; this many studies' are held at once."""

ORDER = ["study_key", "condition", "unit", "route", "key"]


def knockouts(series_vectors: pl.DataFrame, slices: pl.DataFrame, heads: Heads) -> pl.DataFrame:
    """Probabilities with each series, and each route, left out.

    Args:
        series_vectors: embeddings.SERIES of one batch.
        slices: series_key and contrast (shards.SLICES); a series that it lacks has no contrast.
        heads: loaded heads.

    Returns:
        attribution.KNOCKOUTS: for every probability of a study one row per series and per route of the study that
        the heads know. Leaving out a series of a route that the judging heads do not read changes nothing.

    Raises:
        HeadsError: vectors of another encoder version than the heads'.
        AttributionError: vectors that are not finite.
        MixedVersionsError: series of one study and route come from two models.
    """
    known = series_vectors.filter(pl.col("route").is_in(list(heads.model_versions)))
    widths_of(known)
    contrasts = slices.select("series_key", "contrast").unique(
        "series_key", keep="first", maintain_order=True
    )
    studies = known["study_key"].unique().sort()
    parts = [pl.DataFrame(schema=KNOCKOUTS)]
    for start in range(0, len(studies), STUDIES_AT_ONCE):
        some = studies[start : start + STUDIES_AT_ONCE].to_frame()
        parts.append(_without(known.join(some, on="study_key", how="semi"), contrasts, heads))
    return pl.concat(parts).sort(ORDER)


def _without(series: pl.DataFrame, contrasts: pl.DataFrame, heads: Heads) -> pl.DataFrame:
    units = pl.concat(
        [
            series.select(
                "study_key", "route", unit=pl.lit("series"), key="series_key", series_key="series_key"
            ),
            series.select("study_key", "route").unique().with_columns(unit=pl.lit("route"), key="route")
            .with_columns(series_key=pl.lit(None, pl.String)),
        ]
    ).sort("study_key", "unit", "route", "key").with_row_index("_number")  # fmt: skip
    units = units.with_columns(_changed=pl.format("{}/{}", "study_key", "_number"))
    left = (
        series.join(units.drop("series_key"), on="study_key", suffix="_out")
        .filter(
            pl.when(pl.col("unit") == "series")
            .then(pl.col("series_key") != pl.col("key"))
            .otherwise(pl.col("route") != pl.col("route_out"))
        )
        .with_columns(study_key=pl.col("_changed"))
        .select(*series.columns)
    )
    before = heads.predict(pool_studies(series)).rename(
        {"sequence_set": "sequence_set_before", "probability": "probability_before"}
    )
    after = heads.predict(pool_studies(left)).rename(
        {
            "study_key": "_changed",
            "sequence_set": "sequence_set_after",
            "probability": "probability_after",
        }
    )
    owners = series.select("study_key", "batch_key", "patient_key").unique("study_key")
    something = left.select(_changed="study_key", _left=pl.lit(True)).unique()
    return (
        units.join(before, on="study_key")
        .join(after, on=["_changed", "condition"], how="left")
        .join(something, on="_changed", how="left")
        .join(owners, on="study_key")
        .join(contrasts, on="series_key", how="left")
        .with_columns(
            heads_version=pl.lit(heads.version),
            reason=pl.when(pl.col("probability_after").is_not_null())
            .then(None)
            .when(pl.col("_left").is_null())
            .then(pl.lit(NOTHING_LEFT))
            .otherwise(pl.lit(NO_HEAD)),
        )
        .select(*KNOCKOUTS)
    )
