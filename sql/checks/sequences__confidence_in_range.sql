-- A confidence is a number between 0 and 1.
-- table: sequences.series
-- severity: error
SELECT batch_key, study_key, series_key, contrast, confidence
FROM sequences.series
-- NaN sorts above every number, so BETWEEN refuses it too.
WHERE NOT COALESCE(confidence BETWEEN 0 AND 1, FALSE)
ORDER BY batch_key, series_key;
