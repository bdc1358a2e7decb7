-- Slices that are outside (other body regions, for example) lie in no tar of the manifest.
-- table: shards.manifest
-- severity: error
SELECT batch_key, shard, COUNT(*) AS slices
FROM shards.training
WHERE slice_split = 'outside'
GROUP BY batch_key, shard
ORDER BY batch_key, shard;
