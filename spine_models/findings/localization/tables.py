"""Schemas of targets, findings, scores and level scores."""

import polars as pl

TARGETS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "series_key": pl.String,
        "slice_key": pl.String,
        "route": pl.String,
        "plane": pl.String,
        "region": pl.String,
        "split": pl.String,
        "kind": pl.String,  # point | box
        "condition": pl.String,
        "level": pl.String,
        "side": pl.String,
        "positive": pl.Boolean,  # False: a normal level, which only tells where it lies
        "cx": pl.Float64,  # centre and size in shares of the preprocessed slice's edge
        "cy": pl.Float64,
        "bw": pl.Float64,
        "bh": pl.Float64,
        "x_mm": pl.Float64,  # centre in the patient, LPS; null where the slice has no place
        "y_mm": pl.Float64,
        "z_mm": pl.Float64,
    }
)
"""In memory only: what localization learns from and is judged by."""

FINDINGS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "condition": pl.String,
        "rank": pl.Int32,  # 1 is the slice that shows it best
        "series_key": pl.String,
        "slice_key": pl.String,
        "route": pl.String,
        "plane": pl.String,
        "supervision": pl.String,  # supervised | weak
        "probability": pl.Float64,  # of the condition in the study, by the probes' heads
        "slice_score": pl.Float64,  # logit
        "x": pl.Float64,  # left edge, in pixels of the source frame; pixel (0, 0) spans 0 to 1
        "y": pl.Float64,
        "w": pl.Float64,
        "h": pl.Float64,
        "output_x": pl.Float64,  # the same box in pixels of the preprocessed slice
        "output_y": pl.Float64,
        "output_w": pl.Float64,
        "output_h": pl.Float64,
        "centre_mm": pl.List(pl.Float64),  # LPS; null where the slice has no place
        "level": pl.String,
        "level_confidence": pl.Float64,
        "level_uncertain": pl.Boolean,
        "level_alternatives": pl.List(pl.String),  # after the likeliest, down to 5 %
        "side": pl.String,  # left | right of the patient; null near the midline
        # That the box holds the finding, given that the study has the condition; null where it could not be calibrated.
        "confidence_if_present": pl.Float64,
        "models_version": pl.String,  # of localization/models
        "model_version": pl.String,  # of the encoder
        "heads_version": pl.String,  # of probes/heads
    }
)

_VALUES = (
    "slice_auroc", "slice_top1", "slice_distance", "slice_distance_mm", "box_error", "iou", "iou_over_25",
    "iou_over_50", "centre_distance_mm", "found_distance_mm",
)  # fmt: skip
SCORE_NAMES = _VALUES

SCORES = pl.Schema(
    {
        "condition": pl.String,
        "supervision": pl.String,  # supervised | weak
        "method": pl.String,  # model | position_prior | image_centre
        "status": pl.String,  # evaluated | not_evaluable
        "reason": pl.String,
        "n_patients": pl.Int32,
        "n_studies": pl.Int32,
        "n_slices": pl.Int32,  # annotated slices
        # A figure that fewer than two patients have is null with its interval.
        **{f"{name}{end}": pl.Float64 for name in _VALUES for end in ("", "_low", "_high")},
    }
)

LEVEL_SCORES = pl.Schema(
    {
        "region": pl.String,  # cervical | thoracic | lumbar | all
        "method": pl.String,  # model | position_prior
        "status": pl.String,
        "reason": pl.String,
        "n_patients": pl.Int32,
        "n_annotations": pl.Int32,
        "exact": pl.Float64,
        "exact_low": pl.Float64,
        "exact_high": pl.Float64,
        "within_one": pl.Float64,
        "within_one_low": pl.Float64,
        "within_one_high": pl.Float64,
        "ece": pl.Float64,
        "uncertain": pl.Float64,  # share
        "exact_certain": pl.Float64,  # exact among those that are not uncertain
    }
)
