-- Every benchmark item is of a test patient, and none of its studies gives an item too.
-- table: instructions.benchmark
-- severity: error
SELECT
    benchmark.item_key,
    benchmark.patient_key,
    ledger.split
FROM instructions.benchmark AS benchmark
LEFT JOIN (
    SELECT patient_key, split FROM shards.splits
    UNION
    SELECT patient_key, split FROM shards.patients
) AS ledger ON ledger.patient_key = benchmark.patient_key
WHERE
    COALESCE(ledger.split, 'none') <> 'test'
    OR benchmark.split <> 'test'
    OR benchmark.study_key IN (SELECT study_key FROM instructions.items)
ORDER BY benchmark.item_key;
