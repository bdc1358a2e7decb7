"""Schemas of the vectors that lie in the space of the reports."""

import polars as pl

ALIGNED = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "modality": pl.String,  # of clip: t1 | t2 (or image) | report; of the synthesizer: study | other
        "encoder": pl.String,  # clip-<variant> | synthesizer-<variant>
        "model_version": pl.String,
        "content_hash": pl.String,  # of the slices or the text that the vector was made from
        "vector": pl.List(pl.Float32),  # unit length
    }
)
"""One row a study and modality; a modality that a study lacks is a missing row, never a zero vector."""

ALIGNED_SLICES = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,
        "slice_key": pl.String,
        "route": pl.String,
        "plane": pl.String,
        "encoder": pl.String,
        "model_version": pl.String,
        "pixel_hash": pl.String,
        "vector": pl.List(pl.Float32),  # unit length
    }
)
"""One row a slice that a study's vector may be made from: the same image side, on this slice alone."""
