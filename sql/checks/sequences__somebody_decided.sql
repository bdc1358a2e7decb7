-- A series has a contrast exactly when somebody decided on it, and pixels decide only where they were asked.
-- table: sequences.series
-- severity: error
SELECT batch_key, series_key, contrast, decided_by, pixel_contrast
FROM sequences.series
WHERE
    (decided_by = 'nobody') IS DISTINCT FROM (contrast IS NULL)
    OR decided_by NOT IN ('rules', 'header_model', 'header+pixels', 'nobody')
    OR (decided_by = 'header+pixels' AND pixel_contrast IS NULL)
ORDER BY batch_key, series_key;
