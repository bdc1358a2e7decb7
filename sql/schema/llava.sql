-- The report model: its trainings, whether it says what it is told, and what it wrote.

CREATE SCHEMA llava;

-- One row per step of training our own decoder; none where a decoder was given.
-- stored: copy
CREATE TABLE llava.decoder_curves (
    step INTEGER,
    epoch INTEGER,
    loss DOUBLE, -- nats a token that is to be written
    tokens INTEGER, -- that were to be written
    lr DOUBLE,
    grad_norm DOUBLE, -- NaN for a skipped step
    val_loss DOUBLE -- on reports of val studies; null between evaluations
);

-- One row per step of warming up the projector.
-- stored: copy
CREATE TABLE llava.warmed_curves (
    step INTEGER,
    epoch INTEGER,
    loss DOUBLE, -- nats a token that is to be written
    tokens INTEGER,
    lr DOUBLE,
    grad_norm DOUBLE,
    val_loss DOUBLE
);

-- One row per step of tuning the report model.
-- stored: copy
CREATE TABLE llava.tuned_curves (
    step INTEGER,
    epoch INTEGER,
    loss DOUBLE, -- nats a token that is to be written
    tokens INTEGER,
    lr DOUBLE,
    grad_norm DOUBLE,
    val_loss DOUBLE
);

-- One row per patient and role: whose texts our own decoder was trained on.
-- stored: copy
CREATE TABLE llava.decoder_patients (
    training VARCHAR, -- which training of the stage
    route VARCHAR, -- all where a training reads every route
    patient_key VARCHAR,
    role VARCHAR, -- train, or held_out where the training is only measured with it
    n INTEGER -- slices, or studies where a training reads studies
);

-- One row per patient and role: whose studies warmed up the projector.
-- stored: copy
CREATE TABLE llava.warmed_patients (
    training VARCHAR,
    route VARCHAR,
    patient_key VARCHAR,
    role VARCHAR,
    n INTEGER
);

-- One row per patient and role: whose studies tuned the report model, or stood in its prompts as similar reports.
-- stored: copy
CREATE TABLE llava.tuned_patients (
    training VARCHAR,
    route VARCHAR,
    patient_key VARCHAR,
    role VARCHAR,
    n INTEGER
);

-- One row per condition, and one for all: whether the report model says the claims that it is given, on val studies.
-- stored: copy
CREATE TABLE llava.fitness (
    condition VARCHAR, -- null: of all
    n_studies INTEGER, -- val studies with such a claim
    n_claims INTEGER, -- claims of val studies that the model was given
    n_said INTEGER, -- of them, those that its text says
    n_added INTEGER -- findings of its texts that no claim is behind
);

-- One row per study: the report model's text of its claims, or why there is none.
-- stored: copy
CREATE TABLE llava.written (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    conditioning VARCHAR, -- agents
    text VARCHAR, -- empty where there is a reason
    n_tokens INTEGER,
    stopped BOOLEAN, -- false: cut at the largest number of tokens
    model_version VARCHAR,
    reason VARCHAR -- why there is no text; null where there is
);

-- One row per val or test study and conditioning: what the report model writes of it, to be scored.
-- stored: copy
CREATE TABLE llava.answers (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    split VARCHAR, -- val, test
    conditioning VARCHAR, -- image_only, agents
    text VARCHAR,
    n_tokens INTEGER,
    stopped BOOLEAN,
    model_version VARCHAR,
    reason VARCHAR
);

-- One row per choice of the benchmark and answerer: the option that the report model finds likeliest, or why none.
-- stored: copy
CREATE TABLE llava.benchmark_answers (
    item_key VARCHAR,
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    dimension VARCHAR, -- as in instructions.benchmark
    answerer VARCHAR, -- report_model with what the agents say, report_model_image_only
    chosen INTEGER, -- place of the option, from 0
    nats DOUBLE[], -- negative log likelihood of each option as the answer
    model_version VARCHAR, -- null where there is no model
    reason VARCHAR -- why nothing was chosen; null where something was
);

-- How well the report model answers the benchmark, as instructions.benchmark_scores; no rows without a model.
-- stored: copy
CREATE TABLE llava.benchmark_scores (
    dimension VARCHAR, -- of items, all, or report: SECTION
    answerer VARCHAR, -- report_model, report_model_image_only
    measure VARCHAR, -- accuracy, f1
    n BIGINT, -- questions, or reports
    n_patients BIGINT,
    answered DOUBLE, -- share with an answer; what is not answered is not right
    score DOUBLE,
    low DOUBLE,
    high DOUBLE,
    chance DOUBLE -- mean of one over the number of options; null for reports
);

-- Whom the trainings of this stage read.
CREATE VIEW llava.patients AS
SELECT * FROM llava.decoder_patients
UNION ALL
SELECT * FROM llava.warmed_patients
UNION ALL
SELECT * FROM llava.tuned_patients;
