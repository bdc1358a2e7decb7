-- A contradiction belongs to a classified series, states what was decided there, and its sources differ.
-- table: sequences.disagreements
-- severity: error
SELECT
    found.batch_key,
    found.series_key,
    found.about,
    found.source_a,
    found.source_b,
    found.decision,
    series.contrast
FROM sequences.disagreements AS found
LEFT JOIN sequences.series AS series
    ON series.batch_key = found.batch_key AND series.series_key = found.series_key
WHERE
    series.series_key IS NULL
    OR found.decision IS DISTINCT FROM series.contrast
    OR found.says_a IS NOT DISTINCT FROM found.says_b
ORDER BY found.batch_key, found.series_key, found.about, found.source_a;
