"""What an embedding of a batch computed, and why: the slices of before and after, told apart.

Belongs here: the reason of every slice and the counts by it. Does not belong here: what is computed (``slices``), which
slices wait to be (a question to the lake).
"""

from __future__ import annotations

from enum import StrEnum

import polars as pl

from spine_models.findings.embeddings.pooling import sound
from spine_models.findings.embeddings.tables import REFRESHED


class Reason(StrEnum):
    """Why a slice's vector was computed, kept or dropped; the first that applies."""

    NEW_SLICE = "new_slice"
    NEW_PREPROCESSING = "new_preprocessing"
    NEW_PIXELS = "new_pixels"
    NEW_MODEL = "new_model"
    VANISHED = "vanished"
    UNCHANGED = "unchanged"


_KEY = ["route", "slice_key"]
_WHAT = ["encoder", "model_version", "preprocessing_version", "pixel_hash"]


def refreshed(previous: pl.DataFrame | None, vectors: pl.DataFrame, *, batch_key: str) -> pl.DataFrame:
    """embeddings.REFRESHED of one batch: equal tables give equal rows.

    A slice that came from another route is new in its own and has vanished from the other; one whose earlier vector
    was not finite is new. New preprocessing names the cause where the pixels changed with it.

    Args:
        previous: embeddings.SLICES before, or None.
        vectors: embeddings.SLICES after.
        batch_key: of both.
    """
    before = pl.DataFrame(schema=vectors.schema) if previous is None else previous
    before = before.unique("slice_key", keep="first", maintain_order=True)
    before = before.filter(sound(before["vector"])).select(*_KEY, "series_key", "study_key", *_WHAT)
    after = vectors.select(*_KEY, "series_key", "study_key", *_WHAT)
    both = after.join(before.select(*_KEY, *_WHAT), on=_KEY, how="left", suffix="_before").with_columns(
        pl.when(pl.col("pixel_hash_before").is_null())
        .then(pl.lit(Reason.NEW_SLICE.value))
        .when(pl.col("preprocessing_version") != pl.col("preprocessing_version_before"))
        .then(pl.lit(Reason.NEW_PREPROCESSING.value))
        .when(pl.col("pixel_hash") != pl.col("pixel_hash_before"))
        .then(pl.lit(Reason.NEW_PIXELS.value))
        .when(
            (pl.col("model_version") != pl.col("model_version_before"))
            | (pl.col("encoder") != pl.col("encoder_before"))
        )
        .then(pl.lit(Reason.NEW_MODEL.value))
        .otherwise(pl.lit(Reason.UNCHANGED.value))
        .alias("reason"),
        model_version_after=pl.col("model_version"),
    )
    gone = before.join(after.select(_KEY), on=_KEY, how="anti").with_columns(
        pl.lit(Reason.VANISHED.value).alias("reason"),
        model_version_before=pl.col("model_version"),
        model_version_after=pl.lit(None, pl.String),
    )
    by = ["route", "reason", "model_version_before", "model_version_after"]
    columns = [*by, "slice_key", "series_key", "study_key"]
    counted = (
        pl.concat([both.select(columns), gone.select(columns)])
        .group_by(by)
        .agg(
            pl.col("slice_key").n_unique().cast(pl.Int32).alias("n_slices"),
            pl.struct("study_key", "series_key").n_unique().cast(pl.Int32).alias("n_series"),
            pl.col("study_key").n_unique().cast(pl.Int32).alias("n_studies"),
        )
    )
    return counted.select(pl.lit(batch_key).alias("batch_key"), pl.all()).select(*REFRESHED).sort(by)
