"""Schemas of slice, series and study vectors, and of what a refresh did. A row is stale when a version of it moved."""

import polars as pl

_VERSIONS = {
    "encoder": pl.String,  # dinov3-t1 | dinov3-t2 | synthesizer-<variant>
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
        "route": pl.String,  # t1 | t2 | other
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

REFRESHED = pl.Schema(
    {
        "batch_key": pl.String,
        "route": pl.String,
        "reason": pl.String,  # refreshed.Reason
        "n_slices": pl.Int32,
        "n_series": pl.Int32,  # with such a slice
        "n_studies": pl.Int32,
        "model_version_before": pl.String,  # null for a new slice
        "model_version_after": pl.String,  # null for a vanished one
    }
)
