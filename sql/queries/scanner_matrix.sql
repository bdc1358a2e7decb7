-- Which scanners made which contrasts, and how sure is the classifier of each scanner?
-- columns:
--   vendor            maker; null when the header does not say
--   scanner_model     model; null when the header does not say
--   field_strength_t  tesla
--   contrast          contrast family; null when the classifier abstained
--   series            series
--   studies           studies that have one
--   patients          patients who have one
--   slices            slices of these series
--   share_of_scanner  these series among all of the scanner
--   mean_confidence   of the classifier, 0 to 1
--   disagreements     series whose sources contradict each other
SELECT
    vendor,
    scanner_model,
    field_strength_t,
    contrast,
    COUNT(*) AS series,
    COUNT(DISTINCT study_key) AS studies,
    COUNT(DISTINCT patient_key) AS patients,
    SUM(n_slices)::BIGINT AS slices,
    COUNT(*) / SUM(COUNT(*)) OVER (PARTITION BY vendor, scanner_model, field_strength_t) AS share_of_scanner,
    AVG(confidence) AS mean_confidence,
    COUNT(disagreement) AS disagreements
FROM sequences.series
GROUP BY vendor, scanner_model, field_strength_t, contrast
ORDER BY vendor NULLS LAST, scanner_model NULLS LAST, field_strength_t NULLS LAST, contrast NULLS LAST;
