-- The report model read studies and reports of train patients alone; val patients are only held out to measure with.
-- table: llava.tuned_patients
-- severity: error
SELECT seen.training, seen.route, seen.patient_key, seen.role, ledger.split
FROM llava.patients AS seen
ANTI JOIN shards.roles AS allowed USING (patient_key, role)
LEFT JOIN shards.patients AS ledger USING (patient_key)
ORDER BY seen.training, seen.route, seen.patient_key;
