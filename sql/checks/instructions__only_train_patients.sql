-- Every item is of a patient whom the frozen ledger lets train and no ledger holds out.
-- table: instructions.items
-- severity: error
SELECT
    items.item_key,
    items.patient_key,
    frozen.split AS frozen_split,
    today.split AS split
FROM instructions.items AS items
LEFT JOIN shards.patients AS frozen ON frozen.patient_key = items.patient_key
LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS today ON today.patient_key = items.patient_key
WHERE NOT COALESCE(frozen.may_train, FALSE) OR COALESCE(today.split, 'none') = 'test'
ORDER BY items.item_key;
