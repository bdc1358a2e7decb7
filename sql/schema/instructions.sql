-- Questions and answers that a report model is trained on, the benchmark of test patients, and the proof that they are
-- apart.

CREATE SCHEMA instructions;

-- Verified items on studies of train patients.
-- stored: view
CREATE TABLE instructions.items (
    item_key VARCHAR, -- digest of what is asked about which study, not of its words
    kind VARCHAR, -- long, short, choice, report, multi_turn
    dimension VARCHAR, -- condition, level, side, severity, next_sequence, report
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    report_key VARCHAR, -- the report that the evidence stands in
    region VARCHAR,
    condition VARCHAR, -- null for reports
    status VARCHAR, -- by the labels: present, absent, ambiguous; null for reports
    level VARCHAR, -- what the evidence tells of its place
    side VARCHAR,
    severity VARCHAR,
    sequence VARCHAR, -- plane and contrast, of next_sequence
    asks VARCHAR[], -- what each turn asks
    turns STRUCT(question VARCHAR, answer VARCHAR)[], -- what a model sees and should say
    question VARCHAR, -- of the first turn, without options
    answer VARCHAR, -- of the last turn; of a choice the right option
    options VARCHAR[], -- of a choice, in the order shown
    correct INTEGER, -- place of the right option, from 0
    evidence VARCHAR, -- verbatim
    evidence_start INTEGER, -- character of the report text, from 0
    evidence_end INTEGER, -- one past the last character
    writer VARCHAR, -- templates, or the model
    prompt_version VARCHAR, -- of templates or prompts, with a digest
    labels_version VARCHAR, -- labellers and a digest of the study's labels
    draft VARCHAR, -- before it was revised
    template VARCHAR, -- of the question; null where a model wrote
    seed BIGINT,
    verified BOOLEAN,
    rejected_reason VARCHAR -- null where verified
);

-- Items that verification did not let pass.
-- stored: view
CREATE TABLE instructions.refused (
    item_key VARCHAR,
    kind VARCHAR,
    dimension VARCHAR,
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    report_key VARCHAR,
    region VARCHAR,
    condition VARCHAR,
    status VARCHAR,
    level VARCHAR,
    side VARCHAR,
    severity VARCHAR,
    sequence VARCHAR,
    asks VARCHAR[],
    turns STRUCT(question VARCHAR, answer VARCHAR)[],
    question VARCHAR,
    answer VARCHAR,
    options VARCHAR[],
    correct INTEGER,
    evidence VARCHAR,
    evidence_start INTEGER,
    evidence_end INTEGER,
    writer VARCHAR,
    prompt_version VARCHAR,
    labels_version VARCHAR,
    draft VARCHAR,
    template VARCHAR,
    seed BIGINT,
    verified BOOLEAN,
    rejected_reason VARCHAR -- why it is not used
);

-- Choices and reports on studies of test patients, in questions of their own.
-- stored: view
CREATE TABLE instructions.benchmark (
    item_key VARCHAR,
    kind VARCHAR, -- choice, report
    dimension VARCHAR,
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    report_key VARCHAR,
    region VARCHAR,
    condition VARCHAR,
    status VARCHAR,
    level VARCHAR,
    side VARCHAR,
    severity VARCHAR,
    sequence VARCHAR,
    asks VARCHAR[],
    turns STRUCT(question VARCHAR, answer VARCHAR)[],
    question VARCHAR,
    answer VARCHAR,
    options VARCHAR[],
    correct INTEGER,
    evidence VARCHAR,
    evidence_start INTEGER,
    evidence_end INTEGER,
    writer VARCHAR,
    prompt_version VARCHAR,
    labels_version VARCHAR,
    draft VARCHAR,
    template VARCHAR,
    seed BIGINT,
    verified BOOLEAN,
    rejected_reason VARCHAR,
    split VARCHAR -- test
);

-- How well the benchmark is answered, by dimension and, of reports, by section; intervals over patients.
-- stored: copy
CREATE TABLE instructions.benchmark_scores (
    dimension VARCHAR, -- of items, all, or report: SECTION
    answerer VARCHAR, -- agents, prior, a model
    measure VARCHAR, -- accuracy, f1
    n BIGINT, -- questions, or reports
    n_patients BIGINT,
    answered DOUBLE, -- share with an answer; what is not answered is not right
    score DOUBLE,
    low DOUBLE,
    high DOUBLE,
    chance DOUBLE -- mean of one over the number of options; null for reports
);

-- What items and held-out patients have in common; every overlap is to be 0.
-- stored: copy
CREATE TABLE instructions.contamination (
    rule VARCHAR,
    meaning VARCHAR,
    first BIGINT, -- things on the side of the items
    second BIGINT, -- things on the side of test patients and benchmark
    overlap BIGINT
);
