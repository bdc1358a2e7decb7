-- A tar of the manifest holds as many slices and patients as when it was frozen; if not, freeze it again.
-- table: shards.manifest
-- severity: warn
SELECT
    manifest.batch_key,
    manifest.shard,
    ANY_VALUE(manifest.n_slices) AS manifest_slices,
    COUNT(training.slice_key) AS slices,
    ANY_VALUE(manifest.n_patients) AS manifest_patients,
    COUNT(DISTINCT training.patient_key) AS patients
FROM shards.manifest AS manifest
LEFT JOIN shards.training AS training
    ON training.batch_key = manifest.batch_key AND training.shard = manifest.shard
GROUP BY manifest.batch_key, manifest.shard
HAVING
    slices IS DISTINCT FROM manifest_slices
    OR patients IS DISTINCT FROM manifest_patients
ORDER BY manifest.batch_key, manifest.shard;
