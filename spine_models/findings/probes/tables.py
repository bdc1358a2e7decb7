"""Schemas of baseline vectors, probe predictions, probe metrics, operating points, and encoders beside each other."""

import polars as pl

BASELINES = pl.Schema(
    {
        "patient_key": pl.String,
        "study_key": pl.String,
        "encoder": pl.String,  # random_init | pixel_pca | efficientnet_lite0 | timm:<model> | transformers:<folder>
        "model_version": pl.String,  # content hash of the weights, or of what was fitted to a route's pixels
        "route": pl.String,
        "vector": pl.List(pl.Float32),
    }
)

PREDICTIONS = pl.Schema(
    {
        "study_key": pl.String,
        "patient_key": pl.String,
        "condition": pl.String,
        "encoder": pl.String,  # spinefm, spinefm_aligned, or a baseline's name
        "head": pl.String,  # linear | mil
        "sequence_set": pl.String,  # t1 | t2 | other | all
        "evaluation": pl.String,  # cv (patients of train, out of fold) | test | val, seen (never scored)
        "fold": pl.Int32,  # null for test and val
        "label": pl.Int8,
        "probability": pl.Float64,
    }
)


def _with_interval(*names: str) -> dict[str, pl.DataType]:
    """Columns of a number and its 95 % interval, bootstrap over patients."""
    return {f"{name}{end}": pl.Float64() for name in names for end in ("", "_low", "_high")}


METRICS = pl.Schema(
    {
        "condition": pl.String,
        "encoder": pl.String,
        "head": pl.String,
        "sequence_set": pl.String,
        "evaluation": pl.String,
        "status": pl.String,  # evaluated | not_evaluable
        "reason": pl.String,
        "n_studies": pl.Int32,
        "n_patients": pl.Int32,
        "n_positive": pl.Int32,
        **_with_interval("auroc", "auprc", "brier", "ece", "sensitivity"),
        "specificity": pl.Float64,  # the fixed one, at which sensitivity is read
        "threshold": pl.Float64,  # of that specificity on the predictions that threshold_on names
        "threshold_on": pl.String,  # cv: train patients held out; val: val patients; seen: held out, but saw reports
    }
)

SUMMARY = pl.Schema(
    {
        "encoder": pl.String,
        "head": pl.String,
        "sequence_set": pl.String,
        "evaluation": pl.String,
        "status": pl.String,
        "reason": pl.String,
        "n_conditions": pl.Int32,  # those that every compared encoder can be evaluated on
        "conditions": pl.List(pl.String),
        "n_studies": pl.Int32,
        "n_patients": pl.Int32,
        **_with_interval("auroc", "auprc"),
    }
)

COMPARISONS = pl.Schema(
    {
        "sequence_set": pl.String,
        "evaluation": pl.String,
        "metric": pl.String,  # auroc | auprc
        "condition": pl.String,  # null: the mean over the conditions of the summary
        "encoder": pl.String,
        "head": pl.String,
        "against": pl.String,
        "against_head": pl.String,
        "best_baseline": pl.Boolean,  # against is the baseline of the highest mean in this evaluation, same head
        "status": pl.String,
        "reason": pl.String,
        "n_conditions": pl.Int32,
        "n_studies": pl.Int32,  # that both have
        "n_patients": pl.Int32,
        "n_positive": pl.Int32,  # null for a mean
        "value": pl.Float64,
        "against_value": pl.Float64,
        **_with_interval("difference", "relative_gain"),  # the gain is a share of the other's value
        "p_bootstrap": pl.Float64,  # two-sided
        "p_delong": pl.Float64,  # of AUROC of one condition alone
    }
)

OPERATING_POINTS = pl.Schema(
    {
        "condition": pl.String,
        "sequence_set": pl.String,
        "status": pl.String,  # chosen | none
        "reason": pl.String,  # why there is none
        "chosen_on": pl.String,  # cv | seen: predictions of train patients, out of fold
        "threshold": pl.Float64,  # a study at or above it is flagged
        "n_studies": pl.Int32,  # labelled
        "n_patients": pl.Int32,
        "n_positive": pl.Int32,
        "prevalence": pl.Float64,  # share positive
        "flagged_share": pl.Float64,  # as near to the prevalence as ties allow
        "precision": pl.Float64,  # of the flagged; null where nothing is
        "recall": pl.Float64,
        "heads_version": pl.String,  # of the heads whose probabilities it is for
    }
)
