-- How well frozen vectors tell the conditions, beside the baselines.

CREATE SCHEMA probes;

-- Study vectors of the baseline encoders.
-- stored: view
CREATE TABLE probes.baselines (
    patient_key VARCHAR,
    study_key VARCHAR,
    encoder VARCHAR, -- random_init, pixel_pca, efficientnet_lite0, timm:<model>, transformers:<folder>
    model_version VARCHAR, -- content hash of the weights, or of what was fitted to a route's pixels
    route VARCHAR,
    vector FLOAT[]
);

-- One row per scored study: out of fold for cv, once for test. Where vectors of train studies saw their reports there
-- is no cv; val and seen stand in for it, which calibrate abstention and are never scored.
-- stored: view
CREATE TABLE probes.predictions (
    study_key VARCHAR,
    patient_key VARCHAR,
    condition VARCHAR,
    encoder VARCHAR, -- spinefm, spinefm_aligned (in the space of the reports), or the name of a baseline
    head VARCHAR, -- linear, mil (attention over slices)
    sequence_set VARCHAR, -- t1, t2, other, all (every route that a study has)
    evaluation VARCHAR, -- cv (patients of train, out of fold), test, val, seen (out of fold, reports seen)
    fold INTEGER, -- null for test and val
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
    threshold DOUBLE, -- probability of that specificity on the predictions that threshold_on names
    -- cv: held-out predictions of the train patients; val: val patients, where vectors saw the train reports; seen:
    -- held-out all the same, for want of val patients, so that the specificity is not kept; null without a threshold
    threshold_on VARCHAR
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
    best_baseline BOOLEAN, -- the other, of the same head, is the baseline of the highest mean here, chosen once
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

-- T1 less T2 per condition on the studies that have both, against clinical expectation.
-- stored: copy
CREATE TABLE probes.contrasts (
    condition VARCHAR,
    encoder VARCHAR,
    evaluation VARCHAR, -- cv, test
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable
    n_studies INTEGER, -- that have both sequences
    n_patients INTEGER,
    n_positive INTEGER,
    t1 DOUBLE, -- AUROC
    t1_low DOUBLE,
    t1_high DOUBLE,
    t2 DOUBLE, -- AUROC
    t2_low DOUBLE,
    t2_high DOUBLE,
    difference DOUBLE, -- t1 - t2, on the same patients and bootstrap draws
    difference_low DOUBLE,
    difference_high DOUBLE,
    expected VARCHAR, -- t1, t2, either
    expectation VARCHAR, -- the clinical reason
    agreement VARCHAR -- agrees, disagrees, open (the interval holds zero); null where either may win
);

-- Heads fitted on one vendor, tested on every vendor: mean AUROC by category of conditions.
-- stored: copy
CREATE TABLE probes.vendors (
    encoder VARCHAR,
    sequence_set VARCHAR,
    train_vendor VARCHAR, -- vendor of most series of a study; mixed, unknown; all
    test_vendor VARCHAR,
    category VARCHAR, -- of labels.conditions; every
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable
    n_conditions INTEGER, -- evaluable ones that the mean is over
    n_train_patients INTEGER,
    n_test_patients INTEGER,
    n_test_studies INTEGER,
    auroc DOUBLE, -- mean over the conditions
    auroc_low DOUBLE,
    auroc_high DOUBLE,
    difference DOUBLE, -- to training on the tested vendor, over the conditions that both can tell
    difference_low DOUBLE,
    difference_high DOUBLE
);

-- Heads fitted on one cohort, tested on patients of another who trained nothing; within-cohort rows for reference.
-- stored: copy
CREATE TABLE probes.cohorts (
    encoder VARCHAR,
    sequence_set VARCHAR,
    condition VARCHAR, -- canal, neuroforaminal, subarticular, mean
    train_cohort VARCHAR,
    test_cohort VARCHAR,
    test_splits VARCHAR, -- val+test
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable
    n_train_studies INTEGER,
    n_train_patients INTEGER,
    n_test_studies INTEGER,
    n_test_patients INTEGER,
    n_positive INTEGER,
    auroc DOUBLE,
    auroc_low DOUBLE,
    auroc_high DOUBLE,
    difference DOUBLE, -- to training within the tested cohort, same patients
    difference_low DOUBLE,
    difference_high DOUBLE
);

-- The same predictions by age, sex and field strength, each subgroup beside everybody else.
-- stored: copy
CREATE TABLE probes.subgroups (
    dimension VARCHAR, -- age, sex, field_strength
    subgroup VARCHAR,
    condition VARCHAR, -- of labels.conditions; mean
    encoder VARCHAR,
    sequence_set VARCHAR,
    evaluation VARCHAR, -- cv, test
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable
    n_studies INTEGER,
    n_patients INTEGER,
    n_positive INTEGER,
    prevalence DOUBLE,
    prevalence_low DOUBLE,
    prevalence_high DOUBLE,
    auroc DOUBLE,
    auroc_low DOUBLE,
    auroc_high DOUBLE,
    ece DOUBLE, -- expected calibration error; the noise of few studies raises it
    ece_low DOUBLE,
    ece_high DOUBLE,
    gap DOUBLE, -- mean probability less prevalence; not biased by few studies
    gap_low DOUBLE,
    gap_high DOUBLE,
    difference DOUBLE, -- AUROC less everybody else's
    difference_low DOUBLE,
    difference_high DOUBLE,
    gap_difference DOUBLE,
    gap_difference_low DOUBLE,
    gap_difference_high DOUBLE
);

-- Conformal abstention, calibrated on train patients out of fold or on val patients, measured on test patients, one
-- study each. The coverage measured on test patients is the proof.
-- stored: copy
CREATE TABLE probes.conformal (
    condition VARCHAR,
    sequence_set VARCHAR,
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable, or why it always abstains
    alpha DOUBLE, -- share of either class that may be lost
    nominal DOUBLE, -- 1 - alpha
    calibrated_on VARCHAR, -- cv, val, seen (out of fold of vectors that saw reports: nothing is promised)
    n_calibration_positive INTEGER, -- patients
    n_calibration_negative INTEGER,
    present_from DOUBLE, -- probabilities from here on allow "present"; null: not attainable
    absent_to DOUBLE, -- probabilities up to here allow "absent"
    n_positive INTEGER, -- test patients
    n_negative INTEGER,
    coverage_positive DOUBLE, -- share of the positives whose prediction set holds "present"
    coverage_positive_low DOUBLE, -- Wilson, of the test patients alone
    coverage_positive_high DOUBLE,
    coverage_negative DOUBLE,
    coverage_negative_low DOUBLE,
    coverage_negative_high DOUBLE,
    abstained DOUBLE, -- share of test patients
    abstained_low DOUBLE,
    abstained_high DOUBLE,
    n_decided INTEGER,
    accuracy DOUBLE, -- of the decided
    accuracy_low DOUBLE,
    accuracy_high DOUBLE
);

-- The out-of-scope score: false alarms on ordinary test patients, detection of others; one study a patient.
-- stored: copy
CREATE TABLE probes.scope (
    route VARCHAR, -- t1, t2, other, study (all of its routes)
    studies VARCHAR, -- test, outside (another body part), flagged (image quality), other_cohort (not fitted on)
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable
    level DOUBLE, -- nominal share of false alarms
    n_studies INTEGER,
    n_patients INTEGER,
    n_flagged INTEGER,
    share DOUBLE, -- called out of scope
    share_low DOUBLE, -- Wilson
    share_high DOUBLE,
    auroc DOUBLE, -- of the score, these studies against the test patients'; null for test
    auroc_low DOUBLE,
    auroc_high DOUBLE
);

-- The same harness with labels shuffled by patient.
-- stored: copy
CREATE TABLE probes.null (
    encoder VARCHAR,
    sequence_set VARCHAR,
    evaluation VARCHAR, -- cv, test
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable
    n_repeats INTEGER,
    n_conditions INTEGER,
    n_patients INTEGER,
    auroc DOUBLE, -- mean over conditions and repeats, of pairs of one fold
    auroc_low DOUBLE, -- Student's t over repeats
    auroc_high DOUBLE,
    auroc_spread DOUBLE, -- standard deviation of the repeats
    pooled DOUBLE, -- the same with all pairs, as in probes.metrics: out of fold slightly below one half
    real DOUBLE -- the same as auroc with the labels as they are; null out of fold of vectors that saw reports
);

-- Whose studies the guards (abstention and scope) were calibrated on.
-- stored: copy
CREATE TABLE probes.guard_patients (
    patient_key VARCHAR,
    part VARCHAR, -- conformal, scope
    n_studies INTEGER
);

-- What the heads say of every study, whether they may decide, and whether the study is like those they were fitted on.
-- stored: view
CREATE TABLE probes.probabilities (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    condition VARCHAR,
    sequence_set VARCHAR,
    probability DOUBLE, -- calibrated
    decision VARCHAR, -- present, absent, abstain
    reason VARCHAR, -- why it abstains; null where it decides
    out_of_scope DOUBLE, -- conformal p-value of the study, small = unlike the training; null: no score
    in_scope BOOLEAN,
    heads_version VARCHAR,
    guards_version VARCHAR,
    model_versions VARCHAR[]
);

-- From which probability on a draft names a condition: where as many train studies are flagged as are positive.
-- stored: copy
CREATE TABLE probes.operating_points (
    condition VARCHAR,
    sequence_set VARCHAR, -- t1, t2, other, all
    status VARCHAR, -- chosen, none
    reason VARCHAR, -- why there is none
    chosen_on VARCHAR, -- cv, seen: predictions of train patients, out of fold
    threshold DOUBLE, -- a study at or above it is flagged
    n_studies INTEGER, -- labelled
    n_patients INTEGER,
    n_positive INTEGER,
    prevalence DOUBLE, -- share positive
    flagged_share DOUBLE, -- as near to the prevalence as ties allow
    "precision" DOUBLE, -- of the flagged; null where nothing is
    recall DOUBLE,
    heads_version VARCHAR -- of the heads whose probabilities it is for
);
