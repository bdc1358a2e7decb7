-- Every released instance belongs to a released study of the same patient and batch.
-- table: deid.instances
-- severity: error
SELECT
    instances.batch_key,
    instances.patient_key,
    instances.study_key,
    COUNT(*) AS instances
FROM deid.instances AS instances
ANTI JOIN deid.studies AS studies
    ON studies.study_key = instances.study_key
    AND studies.patient_key = instances.patient_key
    AND studies.batch_key = instances.batch_key
GROUP BY instances.batch_key, instances.patient_key, instances.study_key
ORDER BY instances.batch_key, instances.study_key;
