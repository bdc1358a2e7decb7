-- A slice has the split of its patient, or is outside of every training set.
-- table: shards.slices
-- severity: error
SELECT
    slices.batch_key,
    slices.patient_key,
    splits.split AS patient_split,
    slices.split AS slice_split,
    COUNT(*) AS slices
FROM shards.slices AS slices
LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits
    ON splits.patient_key = slices.patient_key
WHERE
    splits.split IS NULL
    OR (slices.split IS DISTINCT FROM splits.split AND slices.split IS DISTINCT FROM 'outside')
GROUP BY slices.batch_key, slices.patient_key, splits.split, slices.split
ORDER BY slices.batch_key, slices.patient_key;
