-- Where on which slice a condition is seen, at which level, on which side; and how well that is known.

CREATE SCHEMA localization;

-- Best slices of every study and condition that it may have, with a box.
-- stored: copy
CREATE TABLE localization.findings (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    condition VARCHAR,
    rank INTEGER, -- 1 is the slice that shows it best
    series_key VARCHAR,
    slice_key VARCHAR,
    route VARCHAR,
    plane VARCHAR,
    supervision VARCHAR, -- supervised: learned from annotations; weak: from the study's head alone
    probability DOUBLE, -- of the condition in the study
    slice_score DOUBLE, -- logit, of one condition and supervision only comparable with itself
    x DOUBLE, -- left edge in pixels of the source frame; pixel (0, 0) spans 0 to 1
    y DOUBLE, -- upper edge
    w DOUBLE,
    h DOUBLE,
    output_x DOUBLE, -- the same box in pixels of the preprocessed slice
    output_y DOUBLE,
    output_w DOUBLE,
    output_h DOUBLE,
    centre_mm DOUBLE[], -- LPS; null where the slice has no place in the patient
    level VARCHAR, -- likeliest disc or vertebra
    level_confidence DOUBLE,
    level_uncertain BOOLEAN, -- no level stands out, or the field of view does not settle the count
    level_alternatives VARCHAR[], -- further levels down to 5 %
    side VARCHAR, -- left, right of the patient; null near the midline
    confidence_if_present DOUBLE, -- that the box holds it, given that the study has it; null where not calibrated
    models_version VARCHAR, -- of localization/models
    model_version VARCHAR, -- of the encoder
    heads_version VARCHAR -- of probes/heads
);

-- One row per condition, supervision and method, on test patients, with bootstrap intervals over patients.
-- A figure that fewer than two patients have is null.
-- stored: copy
CREATE TABLE localization.scores (
    condition VARCHAR,
    supervision VARCHAR, -- supervised, weak
    method VARCHAR, -- model; position_prior and image_centre look at no pixel
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable
    n_patients INTEGER,
    n_studies INTEGER,
    n_slices INTEGER, -- annotated slices
    slice_auroc DOUBLE, -- annotated slices against the others of their series, mean over studies
    slice_auroc_low DOUBLE,
    slice_auroc_high DOUBLE,
    slice_top1 DOUBLE, -- share of studies whose best slice is annotated
    slice_top1_low DOUBLE,
    slice_top1_high DOUBLE,
    slice_distance DOUBLE, -- slices from the best one to the nearest annotated one
    slice_distance_low DOUBLE,
    slice_distance_high DOUBLE,
    slice_distance_mm DOUBLE, -- the same in mm
    slice_distance_mm_low DOUBLE,
    slice_distance_mm_high DOUBLE,
    box_error DOUBLE, -- mean absolute difference of centre and size, in shares of the slice
    box_error_low DOUBLE,
    box_error_high DOUBLE,
    iou DOUBLE, -- mean intersection over union with the nearest annotated box
    iou_low DOUBLE,
    iou_high DOUBLE,
    iou_over_25 DOUBLE, -- share of boxes above 0.25
    iou_over_25_low DOUBLE,
    iou_over_25_high DOUBLE,
    iou_over_50 DOUBLE, -- share of boxes above 0.5
    iou_over_50_low DOUBLE,
    iou_over_50_high DOUBLE,
    centre_distance_mm DOUBLE, -- in the plane of the annotated slice
    centre_distance_mm_low DOUBLE,
    centre_distance_mm_high DOUBLE,
    found_distance_mm DOUBLE, -- from the box on the best slice to the nearest annotated one, in the patient
    found_distance_mm_low DOUBLE,
    found_distance_mm_high DOUBLE
);

-- How often the level of an annotated finding of a test patient is right, by region.
-- stored: copy
CREATE TABLE localization.level_scores (
    region VARCHAR, -- cervical, thoracic, lumbar, all
    method VARCHAR, -- model, position_prior
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR,
    n_patients INTEGER,
    n_annotations INTEGER,
    exact DOUBLE, -- share right
    exact_low DOUBLE,
    exact_high DOUBLE,
    within_one DOUBLE, -- share right or one level off
    within_one_low DOUBLE,
    within_one_high DOUBLE,
    ece DOUBLE, -- expected calibration error of the level's probability
    uncertain DOUBLE, -- share called uncertain
    exact_certain DOUBLE -- share right among the others
);

-- Whose annotations localization was fitted on, and whose chose among candidates.
-- stored: copy
CREATE TABLE localization.patients (
    training VARCHAR, -- localize
    route VARCHAR,
    patient_key VARCHAR,
    role VARCHAR, -- train, held_out
    n INTEGER -- annotations
);

-- What every level in view of a study looks like; of studies with sagittal slices and a known region.
-- stored: view
CREATE TABLE localization.level_views (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    region VARCHAR, -- cervical, thoracic, lumbar, guessed where the header names none
    level VARCHAR, -- disc or vertebra
    z_mm DOUBLE, -- its height in the patient (LPS), by the study's own ladder
    settled BOOLEAN, -- the end of the spine that settles the count is in the field of view
    routes VARCHAR[], -- of the sagittal series that were looked at
    centre_slice VARCHAR, -- nearest to the midline
    left_slice VARCHAR, -- of the patient; null where no slice lies on that side
    right_slice VARCHAR,
    centre FLOAT[], -- appearance around the midline, less the mean of the study's levels
    "left" FLOAT[], -- the same of the slices to the left of the patient
    "right" FLOAT[],
    models_version VARCHAR, -- of localization/models, whose ladder it is
    model_versions VARCHAR[], -- of the encoders that looked, <route>:<version>, sorted
    preprocessing_version VARCHAR
);

-- What heads say of every level and side of the frozen patients.
-- stored: view
CREATE TABLE localization.level_predictions (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    split VARCHAR,
    evaluation VARCHAR, -- cv: of train patients, out of fold; test, val: by the heads as they are published
    condition VARCHAR,
    level VARCHAR,
    side VARCHAR, -- left, right of conditions that have a side, else null
    label TINYINT, -- 1, 0; -1 where the report is in doubt or names no level
    probability DOUBLE, -- calibrated
    flagged BOOLEAN, -- at or above the operating point
    level_uncertain BOOLEAN, -- the field of view does not settle the count
    heads_version VARCHAR -- of localization/level_heads
);

-- One row per condition: whether heads judge its levels, how well, and from which probability on they name one.
-- stored: copy
CREATE TABLE localization.level_skill (
    condition VARCHAR,
    status VARCHAR, -- fitted, not_fitted
    reason VARCHAR, -- why not fitted; null otherwise
    sided BOOLEAN, -- judged once a side
    n_patients INTEGER, -- train patients
    n_places INTEGER, -- their levels, twice of sided conditions
    n_positive INTEGER,
    threshold DOUBLE, -- operating point: a share of the places that reports name is flagged
    precision DOUBLE, -- at it, out of fold
    recall DOUBLE,
    unmeasured VARCHAR, -- why there are no test scores; null otherwise
    test_patients INTEGER,
    test_positive INTEGER,
    auroc DOUBLE, -- of places of test patients, with 95 % intervals over patients
    auroc_low DOUBLE,
    auroc_high DOUBLE,
    prior_auroc DOUBLE, -- of how often train reports name the level; looks at no pixel
    prior_auroc_low DOUBLE,
    prior_auroc_high DOUBLE,
    study_auroc DOUBLE, -- of whole studies, by their most probable place
    study_auroc_low DOUBLE,
    study_auroc_high DOUBLE,
    ece DOUBLE, -- expected calibration error of places
    heads_version VARCHAR
);

-- Whose reports the heads of levels were fitted on.
-- stored: copy
CREATE TABLE localization.level_patients (
    training VARCHAR, -- levels
    route VARCHAR,
    patient_key VARCHAR,
    role VARCHAR, -- train
    n INTEGER -- studies
);

-- Per study and condition the flagged levels, and the most probable one in any case. Agents call a place that they
-- take from here level, beside supervised and weak.
-- stored: copy
CREATE TABLE localization.level_findings (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    condition VARCHAR,
    rank INTEGER, -- 1 is the most probable place of the condition
    level VARCHAR,
    side VARCHAR,
    probability DOUBLE, -- that the level (and side) has it, calibrated
    flagged BOOLEAN, -- at or above the operating point: what a draft may name
    level_uncertain BOOLEAN, -- the field of view does not settle the count
    series_key VARCHAR,
    slice_key VARCHAR,
    x DOUBLE, -- box in pixels of the source frame; pixel (0, 0) spans 0 to 1
    y DOUBLE,
    w DOUBLE,
    h DOUBLE,
    centre_mm DOUBLE[], -- LPS
    models_version VARCHAR, -- of localization/models
    heads_version VARCHAR -- of localization/level_heads
);
