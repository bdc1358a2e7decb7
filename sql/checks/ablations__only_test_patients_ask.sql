-- Images and reports that are compared in a variant's own space are of test patients.
-- table: ablations.aligned
-- severity: error
SELECT aligned.question, aligned.variant, aligned.side, aligned.patient_key, aligned.study_key, splits.split
FROM ablations.aligned AS aligned
LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits
    ON splits.patient_key = aligned.patient_key
WHERE splits.split IS DISTINCT FROM 'test'
ORDER BY aligned.question, aligned.variant, aligned.side, aligned.study_key;
