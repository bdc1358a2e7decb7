"""Schemas of baseline vectors, probe predictions and probe metrics."""

import polars as pl

BASELINES = pl.Schema(
    {
        "patient_key": pl.String,
        "study_key": pl.String,
        "encoder": pl.String,  # random_init | pixel_pca | efficientnet_lite0
        "route": pl.String,
        "vector": pl.List(pl.Float32),
    }
)

PREDICTIONS = pl.Schema(
    {
        "study_key": pl.String,
        "patient_key": pl.String,
        "condition": pl.String,
        "encoder": pl.String,  # spinefm, or a baseline's name
        "sequence_set": pl.String,  # t1 | t2 | all
        "evaluation": pl.String,  # cv (patients of train, out of fold) | test
        "fold": pl.Int32,  # null for test
        "label": pl.Int8,
        "probability": pl.Float64,
    }
)

METRICS = pl.Schema(
    {
        "condition": pl.String,
        "encoder": pl.String,
        "sequence_set": pl.String,
        "evaluation": pl.String,
        "status": pl.String,  # evaluated | not_evaluable
        "reason": pl.String,
        "n_studies": pl.Int32,
        "n_patients": pl.Int32,
        "n_positive": pl.Int32,
        "auroc": pl.Float64,
        "auroc_low": pl.Float64,
        "auroc_high": pl.Float64,
        "auprc": pl.Float64,
        "auprc_low": pl.Float64,
        "auprc_high": pl.Float64,
        "brier": pl.Float64,
        "ece": pl.Float64,
    }
)
