"""Schemas of slice, series and study vectors. A row is stale when any of its three versions moved."""

import polars as pl

_VERSIONS = {
    "encoder": pl.String,  # dinov3-t1 | dinov3-t2
    "model_version": pl.String,
    "preprocessing_version": pl.String,
}

SLICES = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,
        "slice_key": pl.String,
        "route": pl.String,
        "plane": pl.String,
        **_VERSIONS,
        "pixel_hash": pl.String,
        "vector": pl.List(pl.Float32),
    }
)

SERIES = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,
        "route": pl.String,
        "plane": pl.String,
        **_VERSIONS,
        "n_slices": pl.Int32,
        "vector": pl.List(pl.Float32),
    }
)

STUDIES = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "route": pl.String,  # one row per route that the study has; a missing route is a missing row
        **_VERSIONS,
        "n_series": pl.Int32,
        "n_slices": pl.Int32,
        "vector": pl.List(pl.Float32),
    }
)
