-- The trainings of variants read train patients alone; val patients are only held out to measure with.
-- table: ablations.vectors
-- severity: error
SELECT seen.training, seen.route, seen.patient_key, seen.role, ledger.split
FROM (
    FROM ablations.clip_bi_modal_patients
    UNION ALL
    FROM ablations.clip_concat_patients
    UNION ALL
    FROM ablations.gates_scalar_patients
) AS seen
LEFT JOIN shards.patients AS ledger ON ledger.patient_key = seen.patient_key
WHERE
    NOT COALESCE(
        (seen.role = 'train' AND ledger.may_train)
        OR (seen.role = 'held_out' AND ledger.split IN ('train', 'val')),
        FALSE
    )
ORDER BY seen.training, seen.route, seen.patient_key;
