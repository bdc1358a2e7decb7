"""Schema of the per-series classification."""

import polars as pl

SERIES = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,
        "contrast": pl.String,  # domain.Contrast; null when abstained
        "route": pl.String,  # domain.Route; other when abstained
        "plane": pl.String,
        "region": pl.String,
        "confidence": pl.Float64,
        "abstained": pl.Boolean,
        "rule": pl.String,  # the rule that decided
        "disagreement": pl.String,  # text and physics of the header contradict: which; null otherwise
        "n_instances": pl.Int32,
        "n_slices": pl.Int32,
        "slice_spacing_mm": pl.Float64,
        "vendor": pl.String,
        "scanner_model": pl.String,
        "field_strength_t": pl.Float64,
        "tr_ms": pl.Float64,
        "te_ms": pl.Float64,
        "ti_ms": pl.Float64,
    }
)
