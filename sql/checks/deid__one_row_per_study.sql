-- A study is in one batch and belongs to one patient, for ever.
-- table: deid.studies
-- severity: error
SELECT
    study_key,
    COUNT(*) AS studies,
    LIST(DISTINCT batch_key ORDER BY batch_key) AS batches,
    COUNT(DISTINCT patient_key) AS patients
FROM deid.studies
GROUP BY study_key
HAVING COUNT(*) <> 1
ORDER BY study_key;
