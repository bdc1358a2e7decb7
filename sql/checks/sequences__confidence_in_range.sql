-- A confidence is a number between 0 and 1.
-- table: sequences.series
-- severity: error
SELECT batch_key, study_key, series_key, contrast, confidence
FROM sequences.series
-- Parquet statistics leave NaN out, so that a comparison alone may skip the rows that hold it.
WHERE NOT COALESCE(ISFINITE(confidence) AND confidence BETWEEN 0 AND 1, FALSE)
ORDER BY batch_key, series_key;
