-- What drafted reports are worth: against the studies' own, by a language model's verdicts, and to readers.

CREATE SCHEMA scores;

-- One row per study of a test patient and method: what its text says beside what the study's own report says.
-- stored: copy
CREATE TABLE scores.studies (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    method VARCHAR, -- agents, agents_llm (language model given the agents), image_only, retrieved
    status VARCHAR, -- scored, unreadable (affirms and denies nothing, scored as such), missing, no_reference
    reason VARCHAR, -- of a status other than scored
    source_key VARCHAR, -- draft, neighbour's study, or model version that the text is of
    excluded VARCHAR[], -- conditions left out: the reference is in doubt
    n_told INTEGER, -- findings of the reference
    n_said INTEGER, -- findings of the text
    credit DOUBLE, -- of matched findings, clinically weighted
    told DOUBLE, -- weight of the reference's findings
    said DOUBLE, -- weight of the text's findings
    precision DOUBLE, -- 1 where the text affirms nothing
    recall DOUBLE, -- 1 where the reference affirms nothing
    f1 DOUBLE, -- 1 where neither does
    false_positives INTEGER, -- findings of the text without a partner
    omissions INTEGER, -- findings of the reference without a partner
    wrong_level INTEGER, -- matched, at another level
    wrong_side INTEGER,
    wrong_severity INTEGER,
    edit_distance DOUBLE, -- words, as a share of the longer text
    rouge_l DOUBLE,
    bleu DOUBLE -- 0 to 1
);

-- One row per method and strictness, with bootstrap intervals over patients.
-- stored: copy
CREATE TABLE scores.methods (
    method VARCHAR,
    strictness VARCHAR, -- graded; or equal in all up to: condition, level, side, severity, certainty
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR,
    n_studies INTEGER, -- scored, unreadable ones too
    n_patients INTEGER,
    n_unreadable INTEGER, -- of the scored ones, texts that neither affirm nor deny any condition
    n_missing INTEGER, -- with a reference, without a text
    n_no_reference INTEGER,
    n_excluded INTEGER, -- conditions of scored studies left out
    n_told INTEGER,
    n_said INTEGER,
    precision DOUBLE, -- of the sums over all studies
    precision_low DOUBLE,
    precision_high DOUBLE,
    recall DOUBLE,
    recall_low DOUBLE,
    recall_high DOUBLE,
    f1 DOUBLE,
    f1_low DOUBLE,
    f1_high DOUBLE,
    mean_f1 DOUBLE, -- mean of the studies' own
    mean_f1_low DOUBLE,
    mean_f1_high DOUBLE,
    false_positives DOUBLE, -- a study
    false_positives_low DOUBLE,
    false_positives_high DOUBLE,
    omissions DOUBLE, -- a study
    omissions_low DOUBLE,
    omissions_high DOUBLE,
    false_weight DOUBLE, -- clinical weight of the false positives, a study
    false_weight_low DOUBLE,
    false_weight_high DOUBLE,
    omitted_weight DOUBLE,
    omitted_weight_low DOUBLE,
    omitted_weight_high DOUBLE,
    wrong_level DOUBLE, -- a study; of the graded rows, as all below
    wrong_level_low DOUBLE,
    wrong_level_high DOUBLE,
    wrong_side DOUBLE,
    wrong_side_low DOUBLE,
    wrong_side_high DOUBLE,
    wrong_severity DOUBLE,
    wrong_severity_low DOUBLE,
    wrong_severity_high DOUBLE,
    edit_distance DOUBLE,
    edit_distance_low DOUBLE,
    edit_distance_high DOUBLE,
    rouge_l DOUBLE,
    rouge_l_low DOUBLE,
    rouge_l_high DOUBLE,
    bleu DOUBLE,
    bleu_low DOUBLE,
    bleu_high DOUBLE,
    weights_version VARCHAR -- of the clinical weights
);

-- Two methods on the studies that both have a text for, with paired intervals over patients.
-- stored: copy
CREATE TABLE scores.comparisons (
    method VARCHAR,
    against VARCHAR,
    measure VARCHAR, -- a value of scores.methods
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR,
    n_studies INTEGER, -- that both have
    n_patients INTEGER,
    value DOUBLE,
    against_value DOUBLE,
    difference DOUBLE,
    difference_low DOUBLE,
    difference_high DOUBLE,
    ratio DOUBLE, -- value / against_value
    ratio_low DOUBLE,
    ratio_high DOUBLE,
    ratio_reason VARCHAR -- why there is none beside a difference
);

-- How well the reports of a method tell the studies with a condition from those without.
-- stored: copy
CREATE TABLE scores.conditions (
    method VARCHAR,
    condition VARCHAR, -- all: the mean over the evaluated ones
    score VARCHAR, -- probability of the claim; text: 1 where it affirms the condition, else 0
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR,
    n_studies INTEGER,
    n_patients INTEGER,
    n_positive INTEGER,
    n_conditions INTEGER, -- of all; else null
    auroc DOUBLE,
    auroc_low DOUBLE,
    auroc_high DOUBLE,
    true_positives INTEGER, -- of the text
    false_positives INTEGER,
    false_negatives INTEGER
);

-- What a known error in a draft that is right does to the metric.
-- stored: copy
CREATE TABLE scores.perturbations (
    kind VARCHAR, -- drop, add, flip_side, move_level, swap_severity, hedge
    expected VARCHAR,
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR,
    n_studies INTEGER,
    n_tried INTEGER,
    n_right INTEGER, -- moved as expected
    f1_after DOUBLE, -- mean; before it is 1
    precision_change DOUBLE,
    recall_change DOUBLE,
    false_positives_change DOUBLE,
    omissions_change DOUBLE
);

-- A language model's verdict on every finding of a text and of its reference.
-- stored: copy
CREATE TABLE scores.judged (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    method VARCHAR,
    side_of VARCHAR, -- draft, reference: whose finding it is
    position INTEGER, -- from 1; null in the one row of a study without an answer
    finding VARCHAR, -- as it was asked about
    condition VARCHAR,
    level VARCHAR,
    side VARCHAR,
    severity VARCHAR,
    certainty VARCHAR,
    verdict VARCHAR, -- supported, contradicted, unsupported; of the reference: supported, omitted
    error VARCHAR, -- none, minor, significant, critical
    outcome VARCHAR, -- answered, or why there is no verdict
    model VARCHAR,
    prompt_version VARCHAR
);

-- Those verdicts by method, with bootstrap intervals over patients; not_evaluable where nobody was asked.
-- stored: copy
CREATE TABLE scores.judgements (
    method VARCHAR,
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR,
    model VARCHAR,
    n_studies INTEGER,
    n_patients INTEGER,
    n_unanswered INTEGER,
    n_findings INTEGER,
    supported DOUBLE, -- share of the text's findings
    supported_low DOUBLE,
    supported_high DOUBLE,
    false_positives DOUBLE, -- contradicted or unsupported, a study
    false_positives_low DOUBLE,
    false_positives_high DOUBLE,
    contradicted DOUBLE, -- a study
    contradicted_low DOUBLE,
    contradicted_high DOUBLE,
    omissions DOUBLE, -- a study
    omissions_low DOUBLE,
    omissions_high DOUBLE,
    significant DOUBLE, -- errors called significant or critical, a study
    significant_low DOUBLE,
    significant_high DOUBLE
);

-- One row per reading of a draft. What the reader wrote stays in the reader's own file.
-- stored: copy
CREATE TABLE scores.readers (
    reader VARCHAR, -- a code
    study_key VARCHAR,
    draft_key VARCHAR,
    status VARCHAR, -- read, unknown_draft, other_study
    score VARCHAR, -- RADPEER: 1, 2a .. 4b
    discrepancy INTEGER, -- 1 to 4
    significant BOOLEAN, -- b; null for 1
    corrected BOOLEAN, -- a corrected text was given
    n_words INTEGER, -- of the draft
    words_changed INTEGER, -- Levenshtein distance in words
    edit_distance DOUBLE, -- the same as a share of the longer text
    removed INTEGER, -- findings that the reader took out
    added INTEGER,
    changed INTEGER -- findings whose place, degree or certainty the reader changed
);

-- All readings together: spread of scores, edits by score, agreement.
-- stored: copy
CREATE TABLE scores.radpeer (
    measure VARCHAR, -- readings, share, significant, edit_distance, kappa, alpha
    reader VARCHAR, -- all, or one
    other VARCHAR, -- of a kappa
    score VARCHAR, -- 1, 2a .. 4b; of readings the status
    status VARCHAR, -- evaluated, not_evaluable
    reason VARCHAR,
    n INTEGER, -- readings; of kappa and alpha drafts that two or more read
    value DOUBLE,
    low DOUBLE,
    high DOUBLE
);
