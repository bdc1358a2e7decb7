-- Similar reports of other patients, and how well studies, reports and slices find each other.

CREATE SCHEMA retrieval;

-- One row per study and neighbour: the most similar reports in the index, which holds train patients alone.
-- stored: copy
CREATE TABLE retrieval.neighbours (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    query VARCHAR, -- modality that was asked with: study, else t1, else t2
    rank INTEGER, -- from 1
    neighbour_study_key VARCHAR, -- whose report was found
    neighbour_patient_key VARCHAR,
    score DOUBLE, -- cosine
    clip_version VARCHAR, -- whose space it is
    index_version VARCHAR
);

-- One row per task, encoder and sequence set, on test patients, with bootstrap intervals over patients.
-- stored: copy
CREATE TABLE retrieval.scores (
    task VARCHAR, -- image_to_report, report_to_image, text_to_slice, condition_to_slice, orientation
    encoder VARCHAR, -- clip-<variant>, synthesizer-<variant>, or <name>+linear: mapped to the reports
    query VARCHAR, -- t1, t2, t1+t2, study, other, report, sentence, sagittal, axial
    gallery VARCHAR,
    sequence_set VARCHAR, -- t1, t2, other, all
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR,
    n_queries INTEGER,
    n_patients INTEGER, -- of the queries; of the gallery for condition_to_slice
    n_gallery INTEGER,
    recall_1 DOUBLE,
    recall_1_low DOUBLE,
    recall_1_high DOUBLE,
    recall_5 DOUBLE,
    recall_5_low DOUBLE,
    recall_5_high DOUBLE,
    recall_10 DOUBLE,
    recall_10_low DOUBLE,
    recall_10_high DOUBLE,
    median_rank DOUBLE,
    median_rank_low DOUBLE,
    median_rank_high DOUBLE,
    mrr DOUBLE, -- mean reciprocal rank
    mrr_low DOUBLE,
    mrr_high DOUBLE,
    chance_recall_1 DOUBLE, -- what random order gives
    chance_recall_5 DOUBLE,
    chance_recall_10 DOUBLE,
    chance_median_rank DOUBLE
);

-- What alignment gains over the best baseline, and the synthesizer over clip alone, in recall at 5: on the same
-- queries, with a paired interval.
-- stored: copy
CREATE TABLE retrieval.gains (
    sequence_set VARCHAR,
    encoder VARCHAR,
    query VARCHAR, -- our modality that asked
    against VARCHAR, -- best_baseline, without_synthesizer
    next_best VARCHAR, -- baseline with the highest recall at 5; clip's modality without the synthesizer
    status VARCHAR,
    reason VARCHAR,
    n_queries INTEGER,
    n_patients INTEGER,
    recall_5 DOUBLE,
    next_best_recall_5 DOUBLE,
    gain DOUBLE, -- recall_5 / next_best_recall_5 - 1; null with a reason where next_best finds nothing
    gain_low DOUBLE,
    gain_high DOUBLE
);

-- How many of the five most similar studies of other patients have the condition of the query study, too.
-- stored: copy
CREATE TABLE retrieval.precision (
    encoder VARCHAR,
    sequence_set VARCHAR,
    condition VARCHAR, -- all: the mean over conditions
    status VARCHAR,
    reason VARCHAR,
    n_conditions INTEGER, -- of all: how many have a number, each in the value and in every replicate; else null
    n_queries INTEGER,
    n_patients INTEGER,
    precision_5 DOUBLE,
    precision_5_low DOUBLE,
    precision_5_high DOUBLE,
    chance DOUBLE -- share of all studies of other patients that have it
);
