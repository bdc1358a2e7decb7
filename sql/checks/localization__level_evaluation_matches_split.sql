-- Levels are judged out of fold of train patients, and by the published heads of val and test patients alone.
-- table: localization.level_predictions
-- severity: error
SELECT
    predictions.patient_key,
    predictions.evaluation,
    predictions.split,
    splits.split AS split_of_patient,
    COUNT(*) AS predictions
FROM localization.level_predictions AS predictions
LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits
    ON splits.patient_key = predictions.patient_key
WHERE
    predictions.split IS DISTINCT FROM splits.split
    OR splits.split IS DISTINCT FROM CASE predictions.evaluation
        WHEN 'cv' THEN 'train'
        WHEN 'val' THEN 'val'
        WHEN 'test' THEN 'test'
    END
GROUP BY predictions.patient_key, predictions.evaluation, predictions.split, splits.split
ORDER BY predictions.patient_key, predictions.evaluation, predictions.split, splits.split;
