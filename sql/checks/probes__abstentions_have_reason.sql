-- A guarded probability is a number between 0 and 1 with a known decision; it says why exactly when it abstains.
-- table: probes.probabilities
-- severity: error
SELECT batch_key, study_key, condition, sequence_set, probability, decision, out_of_scope, in_scope
FROM probes.probabilities
WHERE
    NOT COALESCE(ISFINITE(probability) AND probability BETWEEN 0 AND 1, FALSE)
    OR NOT COALESCE(decision IN ('present', 'absent', 'abstain'), FALSE)
    OR (decision = 'abstain') <> (COALESCE(reason, '') <> '')
    OR in_scope IS NULL
    OR NOT COALESCE(ISFINITE(out_of_scope) AND out_of_scope BETWEEN 0 AND 1, out_of_scope IS NULL AND in_scope)
ORDER BY batch_key, study_key, condition;
