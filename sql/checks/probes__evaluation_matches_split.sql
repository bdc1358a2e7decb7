-- Cross-validation scores patients of the train split only, the test evaluation patients of the test split only; what
-- calibrates alone is of train or val.
-- table: probes.predictions
-- severity: error
SELECT
    predictions.patient_key,
    predictions.evaluation,
    splits.split,
    COUNT(*) AS predictions
FROM probes.predictions AS predictions
LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits
    ON splits.patient_key = predictions.patient_key
WHERE
    splits.split IS DISTINCT FROM CASE predictions.evaluation
        WHEN 'cv' THEN 'train'
        WHEN 'seen' THEN 'train'
        WHEN 'val' THEN 'val'
        WHEN 'test' THEN 'test'
    END
GROUP BY predictions.patient_key, predictions.evaluation, splits.split
ORDER BY predictions.patient_key, predictions.evaluation;
