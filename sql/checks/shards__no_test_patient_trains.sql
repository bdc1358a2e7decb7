-- No test patient reaches self-supervised training: neither by the ledgers, nor for a patient who may not train.
-- table: shards.manifest
-- severity: error
WITH barred AS (
    SELECT patient_key FROM shards.splits WHERE split = 'test'
    UNION
    SELECT patient_key FROM shards.patients WHERE split = 'test' OR NOT COALESCE(may_train, FALSE)
)
SELECT training.batch_key, training.patient_key, training.route, COUNT(*) AS slices
FROM shards.training AS training
SEMI JOIN barred ON barred.patient_key = training.patient_key
GROUP BY training.batch_key, training.patient_key, training.route
ORDER BY training.batch_key, training.patient_key, training.route;
