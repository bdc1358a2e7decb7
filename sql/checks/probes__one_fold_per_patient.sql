-- In cross-validation a patient lies in one fold of a condition, encoder, head and sequence set; test has no folds.
-- table: probes.predictions
-- severity: error
SELECT
    condition,
    encoder,
    head,
    sequence_set,
    evaluation,
    patient_key,
    LIST(DISTINCT fold ORDER BY fold) AS folds
FROM probes.predictions
GROUP BY condition, encoder, head, sequence_set, evaluation, patient_key
HAVING
    (evaluation IN ('cv', 'seen') AND (COUNT(DISTINCT fold) <> 1 OR BOOL_OR(fold IS NULL)))
    OR (evaluation IN ('test', 'val') AND COUNT(fold) > 0)
ORDER BY condition, encoder, head, sequence_set, evaluation, patient_key;
