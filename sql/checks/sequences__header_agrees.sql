-- Names, timing, model and pixels tell the same sequence; where they do not, a person should look.
-- table: sequences.series
-- severity: warn
SELECT batch_key, study_key, series_key, contrast, route, decided_by, rule, disagreement
FROM sequences.series
WHERE disagreement IS NOT NULL
ORDER BY batch_key, series_key;
