-- Images and reports that are compared in a variant's own space are of test patients.
-- table: ablations.aligned
-- severity: error
SELECT aligned.question, aligned.variant, aligned.side, aligned.patient_key, aligned.study_key, ledger.split
FROM ablations.aligned AS aligned
LEFT JOIN shards.patients AS ledger ON ledger.patient_key = aligned.patient_key
WHERE ledger.split IS DISTINCT FROM 'test'
ORDER BY aligned.question, aligned.variant, aligned.side, aligned.study_key;
