-- How well frozen vectors tell the conditions, beside the baselines.

CREATE SCHEMA probes;

-- Study vectors of the baseline encoders.
-- stored: view
CREATE TABLE probes.baselines (
    patient_key VARCHAR,
    study_key VARCHAR,
    encoder VARCHAR, -- random_init, pixel_pca, efficientnet_lite0, timm:<model>, transformers:<folder>
    route VARCHAR,
    vector FLOAT[]
);

-- One row per scored study: out of fold for cv, once for test.
-- stored: view
CREATE TABLE probes.predictions (
    study_key VARCHAR,
    patient_key VARCHAR,
    condition VARCHAR,
    encoder VARCHAR, -- spinefm, spinefm_aligned (in the space of the reports), or the name of a baseline
    head VARCHAR, -- linear, mil (attention over slices)
    sequence_set VARCHAR, -- t1, t2, other, all (every route that a study has)
    evaluation VARCHAR, -- cv (patients of train, out of fold), test
    fold INTEGER, -- null for test
    label TINYINT,
    probability DOUBLE
);

-- One row per condition, encoder, head, sequence set and evaluation, with bootstrap intervals over patients.
-- stored: copy
CREATE TABLE probes.metrics (
    condition VARCHAR,
    encoder VARCHAR, -- spinefm, spinefm_aligned, or the name of a baseline
    head VARCHAR, -- linear, mil
    sequence_set VARCHAR, -- t1, t2, other, all
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
    brier_low DOUBLE,
    brier_high DOUBLE,
    ece DOUBLE, -- expected calibration error
    ece_low DOUBLE,
    ece_high DOUBLE,
    sensitivity DOUBLE, -- at the specificity of the same row
    sensitivity_low DOUBLE,
    sensitivity_high DOUBLE,
    specificity DOUBLE, -- the fixed one
    threshold DOUBLE -- probability of that specificity on the held-out predictions of the train patients
);

-- Mean scores over the conditions that every compared encoder can be evaluated on, with intervals over patients.
-- stored: copy
CREATE TABLE probes.summary (
    encoder VARCHAR, -- spinefm, spinefm_aligned, or the name of a baseline
    head VARCHAR, -- linear, mil
    sequence_set VARCHAR, -- t1, t2, other, all
    evaluation VARCHAR, -- cv, test
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable
    n_conditions INTEGER,
    conditions VARCHAR[], -- those that the means are of
    n_studies INTEGER,
    n_patients INTEGER,
    auroc DOUBLE,
    auroc_low DOUBLE,
    auroc_high DOUBLE,
    auprc DOUBLE,
    auprc_low DOUBLE,
    auprc_high DOUBLE
);

-- SpineFM less every other encoder on the studies that both have, by condition and as a mean over conditions.
-- stored: copy
CREATE TABLE probes.comparisons (
    sequence_set VARCHAR, -- t1, t2, other, all
    evaluation VARCHAR, -- cv, test
    metric VARCHAR, -- auroc, auprc
    condition VARCHAR, -- null for the mean
    encoder VARCHAR, -- spinefm, spinefm_aligned
    head VARCHAR, -- linear, mil
    against VARCHAR, -- the other encoder
    against_head VARCHAR,
    best_baseline BOOLEAN, -- the other is the baseline of the highest mean here, chosen once on these studies
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable
    n_conditions INTEGER,
    n_studies INTEGER, -- that both have
    n_patients INTEGER,
    n_positive INTEGER, -- null for the mean
    value DOUBLE,
    against_value DOUBLE,
    difference DOUBLE,
    difference_low DOUBLE,
    difference_high DOUBLE,
    relative_gain DOUBLE, -- difference as a share of the other's value
    relative_gain_low DOUBLE,
    relative_gain_high DOUBLE,
    p_bootstrap DOUBLE, -- two-sided, of no difference
    p_delong DOUBLE -- DeLong's test with patients as clusters; AUROC of one condition alone
);
