-- What each part of the system adds: variants beside the part as it is in use.

CREATE SCHEMA ablations;

-- Study vectors of every variant and of its reference.
-- stored: view
CREATE TABLE ablations.vectors (
    patient_key VARCHAR,
    study_key VARCHAR,
    question VARCHAR, -- gram, length, alignment, synthesizer
    variant VARCHAR,
    route VARCHAR, -- t1, t2, other
    model_version VARCHAR, -- of what made the vector; two versions are joined by a plus
    vector FLOAT[]
);

-- Test studies and their reports in the own space of every variant that has a text side; unit vectors.
-- stored: view
CREATE TABLE ablations.aligned (
    patient_key VARCHAR,
    study_key VARCHAR,
    question VARCHAR, -- alignment, synthesizer
    variant VARCHAR,
    side VARCHAR, -- t1, t2, other, all: image side of that sequence set; report: text side
    model_version VARCHAR, -- of what made the vector
    vector FLOAT[]
);

-- One row per question, variant, sequence set, evaluation and measure; intervals are paired by patient.
-- stored: copy
CREATE TABLE ablations.scores (
    question VARCHAR,
    variant VARCHAR,
    is_reference BOOLEAN, -- the part as it is in use
    sequence_set VARCHAR, -- t1, t2, other, all
    evaluation VARCHAR, -- cv (patients of train, out of fold), test
    measure VARCHAR, -- auroc, auprc: means over conditions; recall_at_5, recall_at_5_linear: of reports by image
    conditions INTEGER, -- that all variants of the question could be evaluated on; null for recall
    n_studies INTEGER, -- that all variants have; for recall those that asked
    value DOUBLE,
    low DOUBLE, -- lower end of the 95 % bootstrap interval over patients
    high DOUBLE,
    difference DOUBLE, -- reference less variant; null for the reference
    difference_low DOUBLE,
    difference_high DOUBLE,
    relative_gain DOUBLE, -- reference over variant, less one; null over a variant that finds nothing
    relative_gain_low DOUBLE,
    relative_gain_high DOUBLE,
    reason VARCHAR -- why there is no value, or no gain; null otherwise
);

-- One row per training, route, patient and role: whose slices or studies the training of clip_bi_modal read.
-- stored: copy
CREATE TABLE ablations.clip_bi_modal_patients (
    training VARCHAR, -- which training of the stage
    route VARCHAR, -- all where a training reads every route
    patient_key VARCHAR,
    role VARCHAR, -- train, or held_out where the training is only measured with it
    n INTEGER -- slices, or studies where a training reads studies
);

-- One row per training, route, patient and role: whose slices or studies the training of clip_concat read.
-- stored: copy
CREATE TABLE ablations.clip_concat_patients (
    training VARCHAR, -- which training of the stage
    route VARCHAR, -- all where a training reads every route
    patient_key VARCHAR,
    role VARCHAR, -- train, or held_out where the training is only measured with it
    n INTEGER -- slices, or studies where a training reads studies
);

-- One row per training, route, patient and role: whose slices or studies the training of gates_scalar read.
-- stored: copy
CREATE TABLE ablations.gates_scalar_patients (
    training VARCHAR, -- which training of the stage
    route VARCHAR, -- all where a training reads every route
    patient_key VARCHAR,
    role VARCHAR, -- train, or held_out where the training is only measured with it
    n INTEGER -- slices, or studies where a training reads studies
);
