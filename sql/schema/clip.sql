-- How the encoders were aligned with reports.

CREATE SCHEMA clip;

-- One row per step of the alignment.
-- stored: copy
CREATE TABLE clip.curves (
    step INTEGER,
    epoch INTEGER,
    loss DOUBLE,
    t1_report DOUBLE, -- loss of a pair; null where the variant has no such pair
    t2_report DOUBLE,
    t1_t2 DOUBLE,
    image_report DOUBLE,
    lr DOUBLE,
    scale DOUBLE, -- inverse temperature after the step
    grad_norm DOUBLE, -- NaN for a skipped step
    val_recall_1 DOUBLE, -- mean over pairs and directions; null between evaluations
    val_recall_5 DOUBLE,
    val_median_rank DOUBLE
);

-- One row per pair of modalities and direction: how held-out studies find their other half.
-- stored: copy
CREATE TABLE clip.retrieval (
    query VARCHAR, -- t1, t2, report or image
    gallery VARCHAR,
    n INTEGER, -- held-out studies that have both
    recall_1 DOUBLE,
    recall_5 DOUBLE,
    median_rank DOUBLE,
    chance_recall_1 DOUBLE,
    chance_recall_5 DOUBLE,
    chance_median_rank DOUBLE
);

-- One row per patient and role: whose studies the alignment read.
-- stored: copy
CREATE TABLE clip.patients (
    training VARCHAR, -- which training of the stage
    route VARCHAR, -- all where a training reads every route
    patient_key VARCHAR,
    role VARCHAR, -- train, or held_out where the training is only measured with it
    n INTEGER -- slices, or studies where a training reads studies
);
