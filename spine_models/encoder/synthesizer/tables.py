"""Schemas of the exported gates and of the training with reports.

Belongs here: columns and their meaning. Does not belong here: how they are computed (gate_table, align).
"""

from typing import Final

import polars as pl

from spine_models.encoder.clip.tables import RETRIEVAL

GATES: Final = pl.Schema(
    {
        "series_key": pl.String,
        "contrast": pl.String,  # domain.Contrast; null when abstained
        "layer": pl.Int32,  # 0-based, from the input on
        "weight_t1": pl.Float64,  # mean over the series' slices
        "weight_t2": pl.Float64,  # 1 - weight_t1
        "n_slices": pl.Int32,
    }
)
"""One row a series and layer."""

ALIGN_CURVES: Final = pl.Schema(
    {
        "step": pl.Int32,
        "epoch": pl.Int32,
        "loss": pl.Float64,
        "lr": pl.Float64,
        "grad_norm": pl.Float64,  # NaN for a skipped step
        "val_recall_1": pl.Float64,  # mean over both directions, of the series trained on; null between evaluations
        "val_recall_5": pl.Float64,
        "val_median_rank": pl.Float64,
    }
)
"""One row a step."""

ALIGN_RETRIEVAL: Final = pl.Schema(
    {
        "stage": pl.String,  # before | after training
        "series": pl.String,  # all of a study's | other: those of route other alone, of the studies that have them
        **RETRIEVAL,  # query and gallery are study | report
    }
)
"""Held-out studies and their reports finding each other."""
