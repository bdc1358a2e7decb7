-- Localization was fitted on train patients; val patients only chose among candidates, test patients did neither.
-- table: localization.patients
-- severity: error
SELECT seen.patient_key, seen.role, splits.split
FROM localization.patients AS seen
LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits ON splits.patient_key = seen.patient_key
WHERE splits.split IS DISTINCT FROM CASE seen.role WHEN 'train' THEN 'train' WHEN 'held_out' THEN 'val' END
ORDER BY seen.patient_key, seen.role;
