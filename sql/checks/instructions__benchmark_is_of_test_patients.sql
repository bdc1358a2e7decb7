-- Every benchmark item is of a test patient whom no ledger lets train, and none of its studies gives an item too.
-- table: instructions.benchmark
-- severity: error
WITH ledgers AS (
    SELECT patient_key, split FROM shards.splits
    UNION
    SELECT patient_key, split FROM shards.patients
)
SELECT
    item_key,
    patient_key,
    split
FROM instructions.benchmark
WHERE
    patient_key NOT IN (SELECT patient_key FROM ledgers WHERE split = 'test')
    OR patient_key IN (SELECT patient_key FROM ledgers WHERE split IN ('train', 'val'))
    OR split <> 'test'
    OR study_key IN (SELECT study_key FROM instructions.items)
ORDER BY item_key;
