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
ANTI JOIN shards.roles AS allowed USING (patient_key, role)
LEFT JOIN shards.patients AS ledger USING (patient_key)
ORDER BY seen.training, seen.route, seen.patient_key;
