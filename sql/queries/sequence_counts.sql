-- Which sequences are there, and which encoder reads them?
-- columns:
--   contrast          contrast family; null when the classifier abstained
--   route             t1, t2, other
--   plane             imaging plane
--   region            body region
--   series            series
--   studies           studies that have one
--   slices            slices of these series
--   mean_confidence   of the classifier, 0 to 1
--   disagreements     series whose sources contradict each other
SELECT
    contrast,
    route,
    plane,
    region,
    COUNT(*) AS series,
    COUNT(DISTINCT study_key) AS studies,
    SUM(n_slices)::BIGINT AS slices,
    AVG(confidence) AS mean_confidence,
    COUNT(disagreement) AS disagreements
FROM sequences.series
GROUP BY contrast, route, plane, region
ORDER BY route = 'other', route, contrast NULLS LAST, plane, region;
