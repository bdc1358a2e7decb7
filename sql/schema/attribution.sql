-- What the heads' probabilities rest on, and how true the maps of single slices are.

CREATE SCHEMA attribution;

-- Per study and condition every series with its contribution to the logit, and the heaviest slices of each series.
-- stored: view
CREATE TABLE attribution.weights (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    condition VARCHAR,
    heads_version VARCHAR,
    sequence_set VARCHAR, -- of the head that judges the study
    unit VARCHAR, -- series, slice
    route VARCHAR,
    contrast VARCHAR, -- null when the classifier abstained
    plane VARCHAR,
    series_key VARCHAR,
    slice_key VARCHAR, -- null for series
    rank INTEGER, -- 1 weighs most: a series in its study, a slice in its series
    n_slices INTEGER, -- of the series
    contribution DOUBLE, -- to the calibrated logit, against the average study
    share DOUBLE, -- of the absolute contributions of the study's series, or of its slices
    constant DOUBLE, -- the calibrated logit of the average study with the same routes
    logit DOUBLE, -- of the study: constant plus the contributions of its series
    probability DOUBLE
);

-- What a probability becomes when one series, or a whole route, is left out of its study.
-- stored: view
CREATE TABLE attribution.knockouts (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    condition VARCHAR,
    heads_version VARCHAR,
    unit VARCHAR, -- series, route
    key VARCHAR, -- what is left out: a series key, or t1, t2, other
    route VARCHAR,
    contrast VARCHAR, -- of a series; null for routes
    sequence_set_before VARCHAR,
    sequence_set_after VARCHAR, -- of the head that judges what is left; null where none does
    probability_before DOUBLE,
    probability_after DOUBLE,
    reason VARCHAR -- why there is no probability after
);

-- One row per judged slice, saliency method and measure; slices of test patients only.
-- stored: view
CREATE TABLE attribution.measured (
    condition VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    slice_key VARCHAR,
    route VARCHAR,
    sequence_set VARCHAR, -- of the head that judges a study of this slice alone
    annotated BOOLEAN, -- the slice has a box or point of the condition
    method VARCHAR, -- tokens, gradients, occlusion, masking; random and centre for comparison
    measure VARCHAR, -- deletion, insertion, pointing, mass_lift, patch_precision
    value DOUBLE
);

-- Means over the judged slices with intervals over patients; the condition all takes every slice together.
-- stored: copy
CREATE TABLE attribution.scores (
    condition VARCHAR,
    method VARCHAR, -- tokens, gradients, occlusion, masking
    measure VARCHAR, -- deletion, insertion, pointing, mass_lift, patch_precision
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR, -- why not evaluable, or why without an interval
    n INTEGER, -- slices
    n_patients INTEGER,
    value DOUBLE,
    low DOUBLE, -- of the 95 % bootstrap interval over patients
    high DOUBLE,
    chance DOUBLE, -- of random orders on the same slices
    centre DOUBLE, -- of the order by distance to the centre
    over_chance DOUBLE, -- better than chance by, paired; for deletion less is better
    over_chance_low DOUBLE,
    over_chance_high DOUBLE,
    over_centre DOUBLE,
    over_centre_low DOUBLE,
    over_centre_high DOUBLE
);
