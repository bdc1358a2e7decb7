-- How the encoders were trained.

CREATE SCHEMA backbone;

-- One row per route and recorded training step.
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

-- The last recorded step of each route, with the last values of the measures that are taken now and then.
CREATE VIEW backbone.latest AS
SELECT
    route,
    MAX(step) AS step,
    ARG_MAX(loss, step) AS loss,
    ARG_MAX(dino, step) AS dino,
    ARG_MAX(ibot, step) AS ibot,
    ARG_MAX(koleo, step) AS koleo,
    -- ARG_MAX passes over nulls, so these are the values of the last probe step.
    ARG_MAX(effective_rank, step) AS effective_rank,
    ARG_MAX(view_retrieval, step) AS view_retrieval
FROM backbone.curves
GROUP BY route;
