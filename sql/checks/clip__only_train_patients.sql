-- The alignment read slices or studies of train patients alone; val patients are only held out to measure with.
-- table: clip.patients
-- severity: error
SELECT seen.training, seen.route, seen.patient_key, seen.role, ledger.split
FROM clip.patients AS seen
ANTI JOIN shards.roles AS allowed USING (patient_key, role)
LEFT JOIN shards.patients AS ledger USING (patient_key)
ORDER BY seen.training, seen.route, seen.patient_key;
