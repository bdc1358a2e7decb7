"""Schemas of the ablations: study vectors of the variants, those beside the reports, and the scores."""

import polars as pl

VECTORS = pl.Schema(
    {
        "patient_key": pl.String,
        "study_key": pl.String,
        "question": pl.String,  # gram | length | alignment | synthesizer
        "variant": pl.String,
        "route": pl.String,  # t1 | t2 | other
        "model_version": pl.String,  # of what made the vector; two versions are joined by a plus
        "vector": pl.List(pl.Float32),
    }
)
"""One row per study, question, variant and route, references included."""

ALIGNED = pl.Schema(
    {
        "patient_key": pl.String,
        "study_key": pl.String,
        "question": pl.String,  # alignment | synthesizer
        "variant": pl.String,
        "side": pl.String,  # t1 | t2 | other | all: image side of that sequence set; report: text side
        "model_version": pl.String,  # of what made the vector
        "vector": pl.List(pl.Float32),  # unit length
    }
)
"""One row per study of a test patient, question, variant with a text side and side, in the variant's own space.

A side that a study lacks is a missing row.
"""

SCORES = pl.Schema(
    {
        "question": pl.String,
        "variant": pl.String,
        "is_reference": pl.Boolean,
        "sequence_set": pl.String,
        "evaluation": pl.String,  # cv | test
        "measure": pl.String,  # auroc | auprc (means over conditions) | recall_at_5 | recall_at_5_linear
        "conditions": pl.Int32,  # that all variants of the question could be evaluated on; null for recall
        "n_studies": pl.Int32,  # that all variants have; for recall those that asked
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "difference": pl.Float64,  # reference - variant; null for the reference
        "difference_low": pl.Float64,
        "difference_high": pl.Float64,
        "relative_gain": pl.Float64,  # reference / variant - 1; null over a variant that finds nothing
        "relative_gain_low": pl.Float64,
        "relative_gain_high": pl.Float64,
        "reason": pl.String,  # why there is no value, or no gain
    }
)
"""One row per question, variant, sequence set, evaluation and measure; intervals are paired by patient."""
