"""Schemas of the training curves and of the proof of what was trained on."""

from typing import Final

import polars as pl

RETRIEVAL_GROUP: Final = 32
"""Slices among which one view is sought by another; chance is one in so many."""

CURVES = pl.Schema(
    {
        "route": pl.String,
        "step": pl.Int32,
        "loss": pl.Float64,
        "dino": pl.Float64,
        "ibot": pl.Float64,
        "koleo": pl.Float64,
        "gram": pl.Float64,  # null in pretraining
        "lr": pl.Float64,
        "teacher_temperature": pl.Float64,
        "ema_momentum": pl.Float64,
        "grad_norm": pl.Float64,
        "effective_rank": pl.Float64,  # null between probe steps
        "view_retrieval": pl.Float64,  # top-1 of one view among a group's other views; null between probe steps
    }
)

SEEN = pl.Schema(
    {
        "slice_key": pl.String,
        "role": pl.String,  # "train": the stream may draw it; "held_out": only the probe looks at it
    }
)
