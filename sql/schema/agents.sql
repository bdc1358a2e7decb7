-- The 37 agents, their typed claims and results, how severity is graded, and how good each agent is.

CREATE SCHEMA agents;

-- One row per agent: what it reads, which version, and how well it did.
-- stored: copy
CREATE TABLE agents.registry (
    agent VARCHAR, -- diagnosis/<condition>, localization/<condition>, retrieval/<task>, report
    kind VARCHAR, -- diagnosis, localization, retrieval, report
    condition VARCHAR, -- null for retrieval and report
    version VARCHAR,
    inputs VARCHAR[],
    trained BOOLEAN,
    reason VARCHAR, -- why not trained
    metric VARCHAR, -- its own: auroc, slice_auroc or level_auroc, recall_5, claim_f1
    evaluation VARCHAR, -- test; cv: train patients out of fold
    value DOUBLE,
    low DOUBLE, -- 95 % interval over patients
    high DOUBLE,
    ece DOUBLE, -- expected calibration error, where it gives probabilities
    n_patients INTEGER, -- that the value was measured on
    unmeasured VARCHAR, -- why there is no value
    grades_severity BOOLEAN, -- diagnosis agents alone
    severity_reason VARCHAR -- why it does not grade
);

-- One row per study and condition: what the diagnosis agent claims, and where the localization agent sees it.
-- stored: copy
CREATE TABLE agents.claims (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    claim_key VARCHAR, -- digest of study, agent, version and inputs
    agent VARCHAR,
    agent_version VARCHAR,
    condition VARCHAR,
    status VARCHAR, -- present, absent, indeterminate, not_assessed
    certainty VARCHAR, -- definite, probable, possible; null where not affirmed
    affirmed BOOLEAN, -- present, or indeterminate and at least as probable as the operating point
    reason VARCHAR, -- why not assessed, or why it is indeterminate but for its probability; null otherwise
    probability DOUBLE,
    confidence DOUBLE, -- 0 to 1, distance of the probability from one half, doubled
    level VARCHAR, -- of the first place; null where uncertain or nowhere located
    side VARCHAR,
    severity VARCHAR, -- of the study's worst place; null where not graded
    places STRUCT( -- best first; of affirmed claims alone, in pixels of the source frame and mm of the patient
        -- Supervised, weak, or level: a box around a level that heads judged.
        level VARCHAR, side VARCHAR, severity VARCHAR, confidence DOUBLE, level_uncertain BOOLEAN,
        supervision VARCHAR, series_key VARCHAR, slice_key VARCHAR, instance_key VARCHAR, frame INTEGER,
        x DOUBLE, y DOUBLE, w DOUBLE, h DOUBLE, centre_mm DOUBLE[]
    )[],
    sequence_set VARCHAR,
    model_versions VARCHAR[],
    source_series VARCHAR[],
    source_instances VARCHAR[]
);

-- One row per study and each of the 36 agents that look at images; the report agent answers by reports.drafts.
-- stored: copy
CREATE TABLE agents.results (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    result_key VARCHAR, -- digest of the row
    agent VARCHAR,
    kind VARCHAR, -- diagnosis, localization, retrieval
    condition VARCHAR,
    status VARCHAR, -- answered, not_assessed
    reason VARCHAR, -- why not assessed, or why it abstains
    asked BOOLEAN, -- false: nothing was affirmed that it could have looked for
    probability DOUBLE,
    decision VARCHAR, -- present, absent, abstain; of diagnosis agents that answered
    level VARCHAR,
    side VARCHAR,
    boxes STRUCT( -- of localization agents, as the places of the claim
        level VARCHAR, side VARCHAR, severity VARCHAR, confidence DOUBLE, level_uncertain BOOLEAN,
        supervision VARCHAR, series_key VARCHAR, slice_key VARCHAR, instance_key VARCHAR, frame INTEGER,
        x DOUBLE, y DOUBLE, w DOUBLE, h DOUBLE, centre_mm DOUBLE[]
    )[],
    neighbours STRUCT( -- reports of other patients, or the study's own slices that a condition's sentence means
        kind VARCHAR, study_key VARCHAR, series_key VARCHAR, slice_key VARCHAR, score DOUBLE, rank INTEGER,
        condition VARCHAR
    )[],
    confidence DOUBLE, -- of a diagnosis as in its claim, of the first box, or the first neighbour's similarity
    agent_version VARCHAR,
    model_versions VARCHAR[],
    source_series VARCHAR[],
    source_instances VARCHAR[],
    tokens VARCHAR -- its part of the line that a report model is given; null where it has none
);

-- Per condition whether its severity is graded, and the proof.
-- stored: copy
CREATE TABLE agents.gradings (
    condition VARCHAR,
    status VARCHAR, -- used, not_used
    reason VARCHAR, -- why not used
    grades VARCHAR[], -- that are told apart, mild first
    n_studies INTEGER, -- of train patients with the condition and a graded report
    n_patients INTEGER,
    counts INTEGER[], -- studies of each grade
    balanced_accuracy DOUBLE, -- out of fold
    low DOUBLE, -- 95 % interval over patients
    high DOUBLE,
    chance DOUBLE, -- one over the number of grades
    grading_version VARCHAR
);

-- One row per agent: its own figure, its calibration, and how much of the lake it answers.
-- stored: copy
CREATE TABLE agents.scorecard (
    agent VARCHAR,
    kind VARCHAR,
    condition VARCHAR,
    version VARCHAR,
    trained BOOLEAN,
    reason VARCHAR,
    metric VARCHAR,
    evaluation VARCHAR,
    value DOUBLE,
    low DOUBLE,
    high DOUBLE,
    ece DOUBLE,
    n_patients INTEGER,
    unmeasured VARCHAR,
    n_studies INTEGER, -- of the lake; null for the report agent
    n_asked INTEGER, -- in which there was something for it to say
    n_answered INTEGER,
    answered DOUBLE, -- share of the asked
    n_decided INTEGER, -- answers that do not abstain
    decided DOUBLE -- share of the answered
);

-- One row per claim and place.
CREATE VIEW agents.places AS
SELECT
    batch_key,
    patient_key,
    study_key,
    claim_key,
    condition,
    certainty,
    place_number,
    UNNEST(place)
FROM (
    SELECT
        batch_key,
        patient_key,
        study_key,
        claim_key,
        condition,
        certainty,
        GENERATE_SUBSCRIPTS(places, 1) AS place_number,
        UNNEST(places) AS place
    FROM agents.claims
) AS numbered;
