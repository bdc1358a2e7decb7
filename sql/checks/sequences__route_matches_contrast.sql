-- The encoder route follows from the contrast family; an abstained series has no contrast and goes to route other.
-- table: sequences.series
-- severity: error
SELECT
    series.batch_key,
    series.study_key,
    series.series_key,
    series.contrast,
    series.route,
    series.abstained
FROM sequences.series AS series
LEFT JOIN sequences.contrasts AS contrasts ON contrasts.contrast = series.contrast
WHERE
    -- Without a contrast, or with one that is not in the vocabulary, only route other is left.
    series.route IS DISTINCT FROM COALESCE(contrasts.route, 'other')
    OR series.abstained IS DISTINCT FROM (series.contrast IS NULL)
    OR (series.contrast IS NOT NULL AND contrasts.contrast IS NULL)
ORDER BY series.batch_key, series.series_key;
