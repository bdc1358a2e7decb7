"""Schema of the training curves."""

import polars as pl

CURVES = pl.Schema(
    {
        "route": pl.String,
        "step": pl.Int32,
        "loss": pl.Float64,
        "dino": pl.Float64,
        "ibot": pl.Float64,
        "koleo": pl.Float64,
        "lr": pl.Float64,
        "teacher_temperature": pl.Float64,
        "ema_momentum": pl.Float64,
        "grad_norm": pl.Float64,
        "effective_rank": pl.Float64,  # null between probe steps
        "view_retrieval": pl.Float64,  # top-1 of one view among a batch's other views; null between probe steps
    }
)
