-- A patient has one split for ever: the same in the ledger of every batch and in the frozen manifest.
-- table: shards.splits
-- severity: error
WITH ledgers AS (
    SELECT patient_key, split FROM shards.splits
    UNION ALL
    SELECT patient_key, split FROM shards.patients
)
SELECT patient_key, LIST(DISTINCT split) AS splits
FROM ledgers
GROUP BY patient_key
HAVING COUNT(DISTINCT split) <> 1 OR NOT BOOL_AND(split IN ('train', 'val', 'test', 'outside'))
ORDER BY patient_key;
