-- A slice key is unique: no slice lies in two tars or two batches.
-- table: shards.slices
-- severity: error
SELECT
    slice_key,
    COUNT(*) AS slices,
    LIST(DISTINCT batch_key ORDER BY batch_key) AS batches,
    LIST(DISTINCT shard ORDER BY shard) AS shards
FROM shards.slices
GROUP BY slice_key
HAVING COUNT(*) <> 1
ORDER BY slice_key;
