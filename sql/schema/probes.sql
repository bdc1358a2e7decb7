-- How well frozen vectors tell the conditions, beside the baselines.

CREATE SCHEMA probes;

-- Study vectors of the baseline encoders.
-- stored: view
CREATE TABLE probes.baselines (
    patient_key VARCHAR,
    study_key VARCHAR,
    encoder VARCHAR, -- random_init, pixel_pca, efficientnet_lite0
    route VARCHAR,
    vector FLOAT[]
);

-- One row per scored study: out of fold for cv, once for test.
-- stored: view
CREATE TABLE probes.predictions (
    study_key VARCHAR,
    patient_key VARCHAR,
    condition VARCHAR,
    encoder VARCHAR, -- spinefm, or the name of a baseline
    sequence_set VARCHAR, -- t1, t2, all
    evaluation VARCHAR, -- cv (patients of train, out of fold), test
    fold INTEGER, -- null for test
    label TINYINT,
    probability DOUBLE
);

-- One row per condition, encoder, sequence set and evaluation, with bootstrap intervals over patients.
-- stored: copy
CREATE TABLE probes.metrics (
    condition VARCHAR,
    encoder VARCHAR, -- spinefm, or the name of a baseline
    sequence_set VARCHAR, -- t1, t2, all
    evaluation VARCHAR, -- cv, test
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable
    n_studies INTEGER,
    n_patients INTEGER,
    n_positive INTEGER,
    auroc DOUBLE,
    auroc_low DOUBLE,
    auroc_high DOUBLE,
    auprc DOUBLE,
    auprc_low DOUBLE,
    auprc_high DOUBLE,
    brier DOUBLE,
    ece DOUBLE -- expected calibration error
);
