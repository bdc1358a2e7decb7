-- No test patient lies in a tar of the manifest, and a train tar holds only patients who may train.
-- table: shards.manifest
-- severity: error
WITH test AS (
    SELECT patient_key FROM shards.splits WHERE split = 'test'
    UNION
    SELECT patient_key FROM shards.patients WHERE split = 'test'
)
SELECT
    training.batch_key,
    training.patient_key,
    training.route,
    training.manifest_split,
    COUNT(*) AS slices
FROM shards.training AS training
LEFT JOIN test ON test.patient_key = training.patient_key
LEFT JOIN shards.patients AS ledger ON ledger.patient_key = training.patient_key
WHERE
    test.patient_key IS NOT NULL
    OR (training.manifest_split = 'train' AND NOT COALESCE(ledger.may_train, FALSE))
GROUP BY training.batch_key, training.patient_key, training.route, training.manifest_split
ORDER BY training.batch_key, training.patient_key, training.route, training.manifest_split;
