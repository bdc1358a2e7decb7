-- Levels of a study and condition are ranked from 1 without gaps by falling probability, and after the first come
-- flagged ones alone.
-- table: localization.level_findings
-- severity: error
WITH ranked AS (
    SELECT
        study_key,
        condition,
        rank,
        probability,
        flagged,
        ROW_NUMBER() OVER own AS wanted,
        LAG(probability) OVER own AS before
    FROM localization.level_findings
    WINDOW own AS (PARTITION BY study_key, condition ORDER BY rank, probability DESC)
)
SELECT study_key, condition, rank, wanted, probability, before, flagged
FROM ranked
WHERE
    rank IS DISTINCT FROM wanted
    OR probability > before
    OR (wanted > 1 AND flagged IS NOT TRUE)
ORDER BY study_key, condition, wanted;
