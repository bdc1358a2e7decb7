-- The training with reports read studies of train patients alone; val patients are only held out to measure with.
-- table: synthesizer.align_patients
-- severity: error
SELECT seen.training, seen.route, seen.patient_key, seen.role, ledger.split
FROM synthesizer.align_patients AS seen
LEFT JOIN shards.patients AS ledger ON ledger.patient_key = seen.patient_key
WHERE
    NOT COALESCE(
        (seen.role = 'train' AND ledger.may_train)
        OR (seen.role = 'held_out' AND ledger.split IN ('train', 'val')),
        FALSE
    )
ORDER BY seen.training, seen.route, seen.patient_key;
