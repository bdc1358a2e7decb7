-- Where do names, timing, contrast agent, models and pixels contradict each other, and who was believed?
-- columns:
--   about             contrast, contrast_agent
--   source_a          text, rules, header_model
--   says_a            what it says
--   source_b          timing, header, header_model, pixels
--   says_b            what it says
--   decision          the contrast decided on; null when abstained
--   decided_by        rules, header_model, header+pixels, nobody
--   series            series of this contradiction
--   studies           studies that have one
--   vendors           their makers
SELECT
    found.about,
    found.source_a,
    found.says_a,
    found.source_b,
    found.says_b,
    found.decision,
    found.decided_by,
    COUNT(DISTINCT found.series_key) AS series,
    COUNT(DISTINCT found.study_key) AS studies,
    STRING_AGG(DISTINCT series.vendor, ', ' ORDER BY series.vendor) AS vendors
FROM sequences.disagreements AS found
LEFT JOIN sequences.series AS series
    ON series.batch_key = found.batch_key AND series.series_key = found.series_key
GROUP BY ALL
ORDER BY
    series DESC,
    found.about,
    found.source_a,
    found.says_a,
    found.source_b,
    found.says_b,
    found.decision NULLS LAST;
