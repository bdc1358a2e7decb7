-- Saliency is judged on patients of the test split only.
-- table: attribution.measured
-- severity: error
SELECT measured.patient_key, splits.split, COUNT(DISTINCT measured.slice_key) AS slices
FROM attribution.measured AS measured
LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits
    ON splits.patient_key = measured.patient_key
WHERE splits.split IS DISTINCT FROM 'test'
GROUP BY measured.patient_key, splits.split
ORDER BY measured.patient_key;
