-- Scope is calibrated on patients of train alone, abstention on those of train or val; a test patient would promise
-- itself coverage.
-- table: probes.guard_patients
-- severity: error
SELECT guards.patient_key, guards.part, splits.split
FROM probes.guard_patients AS guards
LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits ON splits.patient_key = guards.patient_key
WHERE
    splits.split IS DISTINCT FROM 'train'
    AND NOT (guards.part = 'conformal' AND splits.split IS NOT DISTINCT FROM 'val')
ORDER BY guards.patient_key, guards.part;
