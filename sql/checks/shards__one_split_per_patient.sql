-- A patient has one split for ever: the same in the ledger of every batch and in the frozen manifest.
-- table: shards.splits
-- severity: error
WITH ledgers AS (
    SELECT patient_key, split FROM shards.splits
    UNION ALL
    -- A patient of whom the shards hold nothing but outside slices is outside in the manifest.
    SELECT patient_key, split FROM shards.patients WHERE split <> 'outside'
)
SELECT patient_key, LIST(DISTINCT split ORDER BY split) AS splits
FROM ledgers
GROUP BY patient_key
HAVING COUNT(DISTINCT split) <> 1 OR NOT BOOL_AND(split IN ('train', 'val', 'test'))
ORDER BY patient_key;
