"""Schemas of the per-series classification and of what contradicts it."""

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
        "region_evidence": pl.String,  # description | protocol | body_part | levels | study | annotations | null
        "confidence": pl.Float64,  # calibrated share of such answers that are right
        "abstained": pl.Boolean,
        "decided_by": pl.String,  # rules | header_model | header+pixels | nobody
        "rule": pl.String,  # the rule that concluded, whether or not it decided
        "disagreement": pl.String,  # which sources contradict each other; null when none do
        "rule_contrast": pl.String,
        "rule_confidence": pl.Float64,
        "header_contrast": pl.String,  # of the header model
        "header_confidence": pl.Float64,
        "pixel_contrast": pl.String,  # null where the pixels were not asked
        "pixel_confidence": pl.Float64,
        "contrast_agent": pl.Boolean,  # null when neither names nor header speak of it
        "dixon_part": pl.String,  # in | opposed | water | fat
        "b_values": pl.List(pl.Float64),  # s/mm2, rising; null where no instance names one
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

DISAGREEMENTS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,
        "about": pl.String,  # contrast | contrast_agent
        "source_a": pl.String,  # text | rules | header_model
        "says_a": pl.String,
        "confidence_a": pl.Float64,
        "source_b": pl.String,  # timing | header | header_model | pixels
        "says_b": pl.String,
        "confidence_b": pl.Float64,
        "decision": pl.String,  # the contrast decided on; null when abstained
        "decided_by": pl.String,
    }
)
"""One row per pair of sources that say different things of a series."""
