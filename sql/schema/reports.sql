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
    text VARCHAR,
    kind VARCHAR, -- finding, negative, not_assessed, technique, notice
    claim_keys VARCHAR[] -- empty only for technique and notice
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
