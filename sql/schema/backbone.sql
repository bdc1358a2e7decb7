-- How the encoders were trained.

CREATE SCHEMA backbone;

-- One row per route and recorded step of pretraining.
-- stored: copy
CREATE TABLE backbone.curves (
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

-- One row per route and recorded step of Gram anchoring; steps count from 0 again.
-- stored: copy
CREATE TABLE backbone.gram_curves (
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

-- One row per route, patient and role: whose slices pretraining read.
-- stored: copy
CREATE TABLE backbone.patients (
    training VARCHAR, -- which training of the stage
    route VARCHAR, -- all where a training reads every route
    patient_key VARCHAR,
    role VARCHAR, -- train, or held_out where the training is only measured with it
    n INTEGER -- slices, or studies where a training reads studies
);

-- One row per route, patient and role: whose slices Gram anchoring read.
-- stored: copy
CREATE TABLE backbone.gram_patients (
    training VARCHAR, -- which training of the stage
    route VARCHAR, -- all where a training reads every route
    patient_key VARCHAR,
    role VARCHAR, -- train, or held_out where the training is only measured with it
    n INTEGER -- slices, or studies where a training reads studies
);

-- Both trainings of a route, one after the other.
CREATE VIEW backbone.trainings AS
SELECT 'pretrain' AS training, * FROM backbone.curves
UNION ALL
SELECT 'anchor' AS training, * FROM backbone.gram_curves;

-- The last recorded step of each training and route, with the last values of the measures that are taken now and then.
CREATE VIEW backbone.latest AS
SELECT
    training,
    route,
    MAX(step) AS step,
    ARG_MAX(loss, step) AS loss,
    ARG_MAX(dino, step) AS dino,
    ARG_MAX(ibot, step) AS ibot,
    ARG_MAX(koleo, step) AS koleo,
    ARG_MAX(gram, step) AS gram,
    -- ARG_MAX passes over nulls, so these are the values of the last probe step.
    ARG_MAX(effective_rank, step) AS effective_rank,
    ARG_MAX(view_retrieval, step) AS view_retrieval
FROM backbone.trainings
GROUP BY training, route;
