-- The manifest lists tars of train and val only, and every slice in them has the split of its tar.
-- table: shards.manifest
-- severity: error
SELECT
    manifest.batch_key,
    manifest.shard,
    manifest.split AS manifest_split,
    training.slice_split,
    COUNT(training.slice_key) AS slices
FROM shards.manifest AS manifest
LEFT JOIN shards.training AS training
    ON training.batch_key = manifest.batch_key AND training.shard = manifest.shard
WHERE
    NOT COALESCE(manifest.split IN ('train', 'val'), FALSE)
    -- Slices that are outside have their own rule.
    OR (training.slice_split <> 'outside' AND training.slice_split <> manifest.split)
GROUP BY manifest.batch_key, manifest.shard, manifest.split, training.slice_split
ORDER BY manifest.batch_key, manifest.shard;
