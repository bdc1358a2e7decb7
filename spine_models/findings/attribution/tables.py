"""Schemas of weights, knock-outs, judged slices and their scores."""

import polars as pl

_STUDY = {
    "batch_key": pl.String,
    "patient_key": pl.String,
    "study_key": pl.String,
    "condition": pl.String,
    "heads_version": pl.String,
}

WEIGHTS = pl.Schema(
    {
        **_STUDY,
        "sequence_set": pl.String,  # of the head that judges the study
        "unit": pl.String,  # series (all of them) | slice (the heaviest of each series)
        "route": pl.String,
        "contrast": pl.String,
        "plane": pl.String,
        "series_key": pl.String,
        "slice_key": pl.String,  # null for series
        "rank": pl.Int32,  # 1 weighs most: a series in its study, a slice in its series
        "n_slices": pl.Int32,  # of the series
        "contribution": pl.Float64,  # to the calibrated logit, against the average study
        "share": pl.Float64,  # of the absolute contributions of the study's series, or of its slices
        "constant": pl.Float64,  # the calibrated logit of the average study
        "logit": pl.Float64,  # of the study: constant plus the contributions of its series
        "probability": pl.Float64,
    }
)

KNOCKOUTS = pl.Schema(
    {
        **_STUDY,
        "unit": pl.String,  # series | route
        "key": pl.String,  # what is left out: a series key, or t1 | t2 | other
        "route": pl.String,
        "contrast": pl.String,  # of a series; null for routes
        "sequence_set_before": pl.String,
        "sequence_set_after": pl.String,  # null where nothing judges what is left
        "probability_before": pl.Float64,
        "probability_after": pl.Float64,
        "reason": pl.String,  # why there is no probability after
    }
)

MEASURED = pl.Schema(
    {
        "condition": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "slice_key": pl.String,
        "route": pl.String,
        "sequence_set": pl.String,
        "annotated": pl.Boolean,  # the slice has a box or point of the condition
        "method": pl.String,  # a saliency method | random | centre
        "measure": pl.String,  # deletion | insertion | pointing | mass_lift | patch_precision
        "value": pl.Float64,
    }
)
"""One row per judged slice, method and measure; slices of test patients only."""

SCORES = pl.Schema(
    {
        "condition": pl.String,
        "method": pl.String,
        "measure": pl.String,
        "status": pl.String,  # evaluated | not_evaluable
        "reason": pl.String,
        "n": pl.Int32,  # slices
        "n_patients": pl.Int32,
        "value": pl.Float64,  # mean over slices
        "low": pl.Float64,  # 95 % interval over patients
        "high": pl.Float64,
        "chance": pl.Float64,  # the same measure of random orders, on the same slices
        "centre": pl.Float64,  # of the order by distance to the centre
        "over_chance": pl.Float64,  # better than chance by, paired; deletion counts downwards
        "over_chance_low": pl.Float64,
        "over_chance_high": pl.Float64,
        "over_centre": pl.Float64,
        "over_centre_low": pl.Float64,
        "over_centre_high": pl.Float64,
    }
)
