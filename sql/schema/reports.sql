-- Drafted reports and their sentences, each tied to its claims. Drafts are for research, to be read by a radiologist.

CREATE SCHEMA reports;

-- One row per drafted report.
-- stored: copy
CREATE TABLE reports.drafts (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    region VARCHAR,
    template_version VARCHAR,
    agent_version VARCHAR, -- of the claims; a digest where each agent has its own
    writer VARCHAR, -- templates, or the version of the report model
    reason VARCHAR, -- why templates; null where a model wrote
    prior_study_key VARCHAR, -- earlier study that it is compared with; null: it compares nothing
    draft_key VARCHAR, -- digest of the text and its claims
    n_sentences INTEGER,
    report_text VARCHAR
);

-- One row per sentence of a draft.
-- stored: copy
CREATE TABLE reports.sentences (
    batch_key VARCHAR,
    study_key VARCHAR,
    draft_key VARCHAR,
    sentence_key VARCHAR,
    section VARCHAR,
    position INTEGER,
    level VARCHAR, -- of a line that is about one level
    text VARCHAR,
    kind VARCHAR, -- finding, negative, undetermined, not_assessed, comparison, technique, notice
    linked_by VARCHAR, -- template, matched (written by a model), added (by the template, beside a model)
    claim_keys VARCHAR[], -- empty only for technique and notice
    prior_claim_keys VARCHAR[], -- of the earlier study; empty but for comparison
    evidence VARCHAR[] -- slice_key of each place that it says, best first
);

-- Sentences that a report model wrote and no claim carries.
-- stored: copy
CREATE TABLE reports.removed (
    batch_key VARCHAR,
    study_key VARCHAR,
    draft_key VARCHAR,
    position INTEGER, -- among the removed
    section VARCHAR, -- heading that it stood under
    text VARCHAR,
    condition VARCHAR, -- that no claim says so; null where it names none
    reason VARCHAR,
    model_version VARCHAR
);

-- One row per sentence, claim and place that the sentence says; without a place where it is about the whole study.
-- stored: view
CREATE TABLE reports.provenance (
    batch_key VARCHAR,
    study_key VARCHAR,
    sentence_key VARCHAR,
    claim_key VARCHAR,
    agent VARCHAR,
    agent_version VARCHAR,
    condition VARCHAR,
    place INTEGER, -- 1 the best; null: the study as a whole
    level VARCHAR,
    side VARCHAR,
    severity VARCHAR,
    supervision VARCHAR, -- supervised, weak, level (a box around a level that heads judged)
    series_key VARCHAR,
    slice_key VARCHAR,
    instance_key VARCHAR,
    frame INTEGER,
    box STRUCT(x DOUBLE, y DOUBLE, w DOUBLE, h DOUBLE), -- source pixels
    centre_mm DOUBLE[], -- LPS
    model_versions VARCHAR[]
);

-- What each refresh made anew and why: one row per refresh, batch and stage.
-- stored: copy
CREATE TABLE reports.nights (
    night VARCHAR, -- day on which the refresh began, UTC
    started_at TIMESTAMP, -- UTC
    trigger VARCHAR, -- command, schedule
    generation VARCHAR, -- of models, that was refreshed
    batch_key VARCHAR, -- null: of the whole lake
    stage VARCHAR,
    job VARCHAR,
    reasons VARCHAR[],
    seconds DOUBLE, -- of the job, also where it made several stages; null where only requested
    outcome VARCHAR -- refreshed, failed, requested, waits
);

-- One row per sentence and claim that it rests on.
CREATE VIEW reports.sentence_claims AS
SELECT
    batch_key,
    study_key,
    draft_key,
    sentence_key,
    UNNEST(claim_keys) AS claim_key
FROM reports.sentences;
