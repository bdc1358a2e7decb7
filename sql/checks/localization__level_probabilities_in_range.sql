-- A level's probability lies between 0 and 1, and what the report says of it is 1, 0 or -1.
-- table: localization.level_predictions
-- severity: error
WITH judged AS (
    SELECT 'predictions' AS thing, study_key, condition, level, side, label, probability
    FROM localization.level_predictions
    UNION ALL
    SELECT 'findings', study_key, condition, level, side, -1, probability
    FROM localization.level_findings
)
SELECT thing, study_key, condition, level, side, label, probability
FROM judged
-- The bounds that a Parquet file keeps of its numbers leave NaN out, so that a range alone does not find it.
WHERE NOT COALESCE(ISFINITE(probability) AND probability BETWEEN 0 AND 1 AND label IN (-1, 0, 1), FALSE)
ORDER BY thing, study_key, condition, level, side;
