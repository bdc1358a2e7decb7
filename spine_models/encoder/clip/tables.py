"""Schemas of the alignment: its slice vectors' index, training curves, held-out retrieval, and whom it saw."""

import polars as pl

VECTORS = pl.Schema(
    {
        "route": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,
        "slice_key": pl.String,
        "slice_index": pl.Int32,  # order along the series normal
        "plane": pl.String,
        "split": pl.String,  # train | val
        "pixel_hash": pl.String,
        "preprocessing_version": pl.String,
    }
)
"""One row a slice vector, in the order of its route's file."""

CURVES = pl.Schema(
    {
        "step": pl.Int32,
        "epoch": pl.Int32,
        "loss": pl.Float64,
        "t1_report": pl.Float64,  # loss of a pair; null where the variant has no such pair
        "t2_report": pl.Float64,
        "t1_t2": pl.Float64,
        "image_report": pl.Float64,
        "lr": pl.Float64,
        "scale": pl.Float64,  # inverse temperature after the step
        "grad_norm": pl.Float64,  # NaN for a skipped step
        "val_recall_1": pl.Float64,  # mean over pairs and directions; null between evaluations
        "val_recall_5": pl.Float64,
        "val_median_rank": pl.Float64,
    }
)

RETRIEVAL = pl.Schema(
    {
        "query": pl.String,  # t1 | t2 | report | image
        "gallery": pl.String,
        "n": pl.Int32,  # held-out studies that have both
        "recall_1": pl.Float64,
        "recall_5": pl.Float64,
        "median_rank": pl.Float64,
        "chance_recall_1": pl.Float64,
        "chance_recall_5": pl.Float64,
        "chance_median_rank": pl.Float64,
    }
)

SEEN = pl.Schema(
    {
        "patient_key": pl.String,
        "study_key": pl.String,
        "role": pl.String,  # train: weights were fitted to it; held_out: retrieval was measured on it
    }
)
"""One row a study that a training run was given and could use; no rows where nothing was trained."""
