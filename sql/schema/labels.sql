-- What the reports say of the 17 conditions: mentions, one labeller's verdicts, and the consensus.

CREATE SCHEMA labels;

-- Every mention of a condition in a report, with its verbatim quote.
-- stored: view
CREATE TABLE labels.mentions (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    report_key VARCHAR,
    labeller VARCHAR,
    condition VARCHAR,
    status VARCHAR, -- present, absent, ambiguous
    level VARCHAR, -- disc L4-L5 or vertebra L4
    side VARCHAR,
    severity VARCHAR,
    section VARCHAR, -- findings, impression
    evidence VARCHAR, -- verbatim
    evidence_start INTEGER, -- 0-based character of the report text
    evidence_end INTEGER -- one past the last character
);

-- Every labeller's verdicts under one another: one row per labeller, reported study and condition.
-- stored: copy
CREATE TABLE labels.verdicts (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    report_key VARCHAR,
    labeller VARCHAR,
    labeller_version VARCHAR,
    condition VARCHAR,
    status VARCHAR, -- present, absent, ambiguous, not_mentioned
    label TINYINT, -- 1, 0, -1; -1 is neither trained on nor evaluated
    level VARCHAR, -- of the most severe mention
    levels VARCHAR[],
    side VARCHAR,
    severity VARCHAR,
    evidence VARCHAR, -- verbatim
    evidence_start INTEGER, -- 0-based character of the report text
    evidence_end INTEGER, -- one past the last character
    confidence FLOAT, -- the labeller's own, 0 to 1
    reason VARCHAR -- why it is ambiguous
);

-- Every question that a language model was asked, and what the answer took.
-- stored: copy
CREATE TABLE labels.requests (
    batch_key VARCHAR,
    study_key VARCHAR,
    report_key VARCHAR,
    labeller VARCHAR,
    condition VARCHAR, -- null: one question about all conditions
    repeat INTEGER, -- 0: the answer that counts; from 1: asked again for the self-check
    request_key VARCHAR, -- hash of report, prompt, model, execution mode and seed
    model VARCHAR,
    prompt_version VARCHAR,
    execution_mode VARCHAR, -- what else changes an answer at temperature 0
    seed BIGINT,
    finish_reason VARCHAR, -- stop, length, ...; null: no answer
    outcome VARCHAR, -- answered, or why not
    prompt_tokens INTEGER,
    cached_tokens INTEGER, -- of the prompt's, those that the prefix cache held
    completion_tokens INTEGER,
    seconds FLOAT, -- from sending the question to its whole answer
    attempts INTEGER
);

-- What the labellers agree on, overruled by adjudications: one row per reported study and condition.
-- stored: copy
CREATE TABLE labels.consensus (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    condition VARCHAR,
    status VARCHAR, -- present, absent, ambiguous, not_mentioned
    label TINYINT, -- 1, 0, -1; -1 is neither trained on nor evaluated
    level VARCHAR,
    levels VARCHAR[],
    side VARCHAR,
    severity VARCHAR,
    evidence VARCHAR,
    labellers VARCHAR[],
    agreed BOOLEAN,
    reason VARCHAR -- why it is ambiguous: hedged in the report, disagreement, an answer that failed
);

-- Labels that wait for a person, the most important first.
-- stored: copy
CREATE TABLE labels.review_queue (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    report_key VARCHAR,
    condition VARCHAR,
    rank INTEGER, -- 1 first
    weight FLOAT, -- how much a person's answer matters
    reason VARCHAR, -- disagreement, hedged, or what failed
    statuses VARCHAR, -- of every labeller
    quotes VARCHAR[] -- one of every labeller that has one
);

-- Reports that affirm a condition in their findings and deny it in their impression, or the other way around.
-- stored: copy
CREATE TABLE labels.contradictions (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    report_key VARCHAR,
    condition VARCHAR,
    findings_status VARCHAR,
    impression_status VARCHAR,
    findings_quote VARCHAR,
    impression_quote VARCHAR
);

-- How two labellers agree, by condition and over all.
-- stored: copy
CREATE TABLE labels.agreement (
    condition VARCHAR, -- key, or all
    first VARCHAR, -- labeller
    second VARCHAR, -- labeller
    studies BIGINT,
    observed DOUBLE, -- share of equal labels
    kappa DOUBLE, -- Cohen's; null where neither labeller varies
    pabak DOUBLE, -- prevalence-adjusted, bias-adjusted kappa
    first_present BIGINT,
    second_present BIGINT,
    equal BIGINT
);

-- Error rates of each labeller by condition, estimated from all of them (Dawid and Skene); three or more are needed.
-- stored: copy
CREATE TABLE labels.raters (
    condition VARCHAR,
    labeller VARCHAR,
    studies BIGINT,
    prevalence DOUBLE, -- of present, estimated
    sensitivity DOUBLE,
    specificity DOUBLE,
    error_rate DOUBLE,
    converged BOOLEAN
);

-- A sample for a person to check, drawn by condition and status.
-- stored: copy
CREATE TABLE labels.audit (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    condition VARCHAR,
    stratum VARCHAR, -- status of the consensus
    stratum_size BIGINT,
    sampled BIGINT,
    weight DOUBLE, -- rows of the stratum that this row stands for
    status VARCHAR,
    evidence VARCHAR
);

-- What the labellers are found to be worth: shares with their 95 % intervals.
-- stored: copy
CREATE TABLE labels.reliability (
    labeller VARCHAR,
    condition VARCHAR, -- key, or all
    measure VARCHAR, -- repeat_agreement, evidence_rate, ambiguous_rate, contradiction_rate, audit_accuracy
    n BIGINT,
    value DOUBLE,
    low DOUBLE,
    high DOUBLE
);

-- Each batch's prevalence against that of all other batches.
-- stored: copy
CREATE TABLE labels.drift (
    batch_key VARCHAR,
    condition VARCHAR,
    studies BIGINT,
    present BIGINT,
    prevalence DOUBLE,
    other_studies BIGINT,
    other_prevalence DOUBLE,
    p_value DOUBLE, -- Fisher's exact test
    drifted BOOLEAN -- after Holm's correction over all rows
);

-- The 17 conditions, version 1, in their order.
CREATE VIEW labels.conditions AS
SELECT position, condition, name, category
FROM (
    VALUES
        (1, 'canal', 'Spinal canal stenosis', 'narrowing'),
        (2, 'neuroforaminal', 'Neural foraminal stenosis', 'narrowing'),
        (3, 'subarticular', 'Subarticular (lateral recess) stenosis', 'narrowing'),
        (4, 'herniation', 'Disc herniation (protrusion or extrusion)', 'degenerative'),
        (5, 'disc_height', 'Disc height loss', 'degenerative'),
        (
            6,
            'inflammation',
            'Inflammatory change (discitis, arthritis, facet or endplate inflammation)',
            'degenerative'
        ),
        (7, 'spondylolisthesis', 'Spondylolisthesis', 'alignment'),
        (8, 'pars', 'Pars interarticularis defect (spondylolysis)', 'alignment'),
        (9, 'fracture', 'Vertebral fracture', 'traumatic'),
        (10, 'compression', 'Spinal cord or cauda equina compression', 'traumatic'),
        (11, 'edema', 'Bone marrow edema', 'traumatic'),
        (12, 'cyst', 'Cyst, other than synovial (perineural, arachnoid)', 'lesion'),
        (13, 'synovial', 'Synovial (facet) cyst', 'lesion'),
        (14, 'hemangioma', 'Vertebral hemangioma', 'lesion'),
        (15, 'lipomatosis', 'Epidural lipomatosis', 'lesion'),
        (16, 'intramedullary', 'Intradural intramedullary lesion', 'lesion'),
        (17, 'extramedullary', 'Intradural extramedullary lesion', 'lesion')
) AS known (position, condition, name, category);

-- One row per reported study, one column per condition: the consensus label, null where there is none.
CREATE VIEW labels.studies AS
SELECT
    batch_key,
    patient_key,
    study_key,
    MAX(label) FILTER (WHERE condition = 'canal') AS canal,
    MAX(label) FILTER (WHERE condition = 'neuroforaminal') AS neuroforaminal,
    MAX(label) FILTER (WHERE condition = 'subarticular') AS subarticular,
    MAX(label) FILTER (WHERE condition = 'herniation') AS herniation,
    MAX(label) FILTER (WHERE condition = 'disc_height') AS disc_height,
    MAX(label) FILTER (WHERE condition = 'inflammation') AS inflammation,
    MAX(label) FILTER (WHERE condition = 'spondylolisthesis') AS spondylolisthesis,
    MAX(label) FILTER (WHERE condition = 'pars') AS pars,
    MAX(label) FILTER (WHERE condition = 'fracture') AS fracture,
    MAX(label) FILTER (WHERE condition = 'compression') AS compression,
    MAX(label) FILTER (WHERE condition = 'edema') AS edema,
    MAX(label) FILTER (WHERE condition = 'cyst') AS cyst,
    MAX(label) FILTER (WHERE condition = 'synovial') AS synovial,
    MAX(label) FILTER (WHERE condition = 'hemangioma') AS hemangioma,
    MAX(label) FILTER (WHERE condition = 'lipomatosis') AS lipomatosis,
    MAX(label) FILTER (WHERE condition = 'intramedullary') AS intramedullary,
    MAX(label) FILTER (WHERE condition = 'extramedullary') AS extramedullary
FROM labels.consensus
GROUP BY batch_key, patient_key, study_key;
