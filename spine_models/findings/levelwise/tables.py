"""Schemas of views of levels, of what heads say of levels, and of how well they know."""

import polars as pl

VIEWS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "region": pl.String,  # cervical | thoracic | lumbar, guessed where the header names none
        "level": pl.String,  # disc or vertebra
        "z_mm": pl.Float64,  # its height in the patient (LPS), by the study's own ladder
        "settled": pl.Boolean,  # the end of the spine that settles the count is in the field of view
        "routes": pl.List(pl.String),  # of the sagittal series that were looked at
        "centre_slice": pl.String,  # nearest to the midline of those that show the level; null where none does
        "left_slice": pl.String,  # the same of the patient's left side
        "right_slice": pl.String,
        "centre": pl.List(pl.Float32),  # appearance around the midline, less the mean of the study's levels
        "left": pl.List(pl.Float32),  # the same of the slices to the left of the patient
        "right": pl.List(pl.Float32),
        "models_version": pl.String,  # of localization/models, whose ladder it is
        "model_versions": pl.List(pl.String),  # of the encoders that looked, "<route>:<version>", sorted
        "preprocessing_version": pl.String,
    }
)
"""One row per study and level in view, of studies with sagittal slices and a known region."""

PREDICTIONS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "split": pl.String,
        "evaluation": pl.String,  # cv: of train patients, out of fold; test | val: by the heads as they are published
        "condition": pl.String,
        "level": pl.String,
        "side": pl.String,  # left | right of conditions that have a side, else null
        "label": pl.Int8,  # 1, 0; -1 where the report is in doubt or names no level
        "probability": pl.Float64,  # calibrated
        "flagged": pl.Boolean,  # at or above the operating point
        "level_uncertain": pl.Boolean,  # the field of view does not settle the count
        "heads_version": pl.String,  # of localization/level_heads
    }
)

SKILL = pl.Schema(
    {
        "condition": pl.String,
        "status": pl.String,  # fitted | not_fitted
        "reason": pl.String,  # why not fitted; null otherwise
        "sided": pl.Boolean,  # judged once a side
        "n_patients": pl.Int32,  # train patients
        "n_places": pl.Int32,  # their levels, twice of sided conditions
        "n_positive": pl.Int32,
        "threshold": pl.Float64,  # operating point: out of fold a share of the places that reports name is flagged
        "precision": pl.Float64,  # at it, out of fold
        "recall": pl.Float64,
        "unmeasured": pl.String,  # why there are no test scores; null otherwise
        "test_patients": pl.Int32,
        "test_positive": pl.Int32,
        "auroc": pl.Float64,  # of places of test patients, with 95 % intervals over patients
        "auroc_low": pl.Float64,
        "auroc_high": pl.Float64,
        "prior_auroc": pl.Float64,  # of how often train reports name the level: looks at no pixel
        "prior_auroc_low": pl.Float64,
        "prior_auroc_high": pl.Float64,
        "study_auroc": pl.Float64,  # of whole studies, by their most probable place
        "study_auroc_low": pl.Float64,
        "study_auroc_high": pl.Float64,
        "ece": pl.Float64,  # expected calibration error of places
        "heads_version": pl.String,
    }
)
"""One row per condition, in file order."""

FINDINGS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "condition": pl.String,
        "rank": pl.Int32,  # 1 is the most probable place of the condition
        "level": pl.String,
        "side": pl.String,
        "probability": pl.Float64,  # that the level (and side) has it, calibrated
        "flagged": pl.Boolean,  # at or above the operating point: what a draft may name
        "level_uncertain": pl.Boolean,  # the field of view does not settle the count
        "series_key": pl.String,
        "slice_key": pl.String,
        "x": pl.Float64,  # box in pixels of the source frame; pixel (0, 0) spans 0 to 1
        "y": pl.Float64,
        "w": pl.Float64,
        "h": pl.Float64,
        "centre_mm": pl.List(pl.Float64),  # LPS
        "models_version": pl.String,  # of localization/models
        "heads_version": pl.String,  # of localization/level_heads
    }
)
"""Per study and condition the flagged places, and the most probable ones in any case (setting ``shown``)."""
