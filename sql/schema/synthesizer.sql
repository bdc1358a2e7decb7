-- How the gates between both encoders were trained, and which encoder they trust.

CREATE SCHEMA synthesizer;

-- One row per recorded step of the gates' self-supervised training; route is all.
-- stored: copy
CREATE TABLE synthesizer.curves (
    route VARCHAR,
    step INTEGER,
    loss DOUBLE,
    dino DOUBLE,
    ibot DOUBLE,
    koleo DOUBLE,
    gram DOUBLE, -- null in pretraining
    lr DOUBLE,
    teacher_temperature DOUBLE,
    ema_momentum DOUBLE,
    grad_norm DOUBLE,
    effective_rank DOUBLE, -- null between probe steps
    view_retrieval DOUBLE -- top-1 of one view among a batch's other views; null between probe steps
);

-- One row per series and layer: the mean weights over its slices.
-- stored: copy
CREATE TABLE synthesizer.gates (
    series_key VARCHAR,
    contrast VARCHAR, -- null when the classifier abstained
    layer INTEGER, -- from 0, the input on
    weight_t1 DOUBLE, -- share of the T1 encoder
    weight_t2 DOUBLE, -- 1 - weight_t1
    n_slices INTEGER
);

-- One row per patient and role: whose slices the gates' training read.
-- stored: copy
CREATE TABLE synthesizer.patients (
    training VARCHAR, -- which training of the stage
    route VARCHAR, -- all where a training reads every route
    patient_key VARCHAR,
    role VARCHAR, -- train, or held_out where the training is only measured with it
    n INTEGER -- slices, or studies where a training reads studies
);

-- One row per step of the gates' training with reports.
-- stored: copy
CREATE TABLE synthesizer.align_curves (
    step INTEGER,
    epoch INTEGER,
    loss DOUBLE,
    lr DOUBLE,
    grad_norm DOUBLE, -- NaN for a skipped step
    val_recall_1 DOUBLE, -- mean over both directions; null between evaluations
    val_recall_5 DOUBLE,
    val_median_rank DOUBLE
);

-- One row per time, choice of series and direction: how held-out studies and reports find each other.
-- stored: copy
CREATE TABLE synthesizer.retrieval (
    stage VARCHAR, -- before or after the training with reports
    series VARCHAR, -- all of a study's; or other, those that are neither T1 nor T2, of the studies that have them
    query VARCHAR, -- study or report
    gallery VARCHAR,
    n INTEGER, -- held-out studies that have both
    recall_1 DOUBLE,
    recall_5 DOUBLE,
    median_rank DOUBLE,
    chance_recall_1 DOUBLE,
    chance_recall_5 DOUBLE,
    chance_median_rank DOUBLE
);

-- One row per patient and role: whose studies the training with reports read.
-- stored: copy
CREATE TABLE synthesizer.align_patients (
    training VARCHAR, -- which training of the stage
    route VARCHAR, -- all where a training reads every route
    patient_key VARCHAR,
    role VARCHAR, -- train, or held_out where the training is only measured with it
    n INTEGER -- slices, or studies where a training reads studies
);

-- One row per contrast and layer: which encoder the gates trust.
CREATE VIEW synthesizer.trust AS
SELECT
    contrast,
    layer,
    COUNT(*) AS n_series,
    AVG(weight_t1) AS weight_t1,
    STDDEV_POP(weight_t1) AS weight_t1_spread
FROM synthesizer.gates
GROUP BY contrast, layer;
