-- Heads of levels were fitted on train patients and on nobody else.
-- table: localization.level_patients
-- severity: error
SELECT seen.patient_key, seen.role, splits.split
FROM localization.level_patients AS seen
LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits ON splits.patient_key = seen.patient_key
WHERE splits.split IS DISTINCT FROM 'train' OR seen.role IS DISTINCT FROM 'train'
ORDER BY seen.patient_key, seen.role;
