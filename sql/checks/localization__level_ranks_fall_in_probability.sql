-- Levels of a study and condition are ranked from 1 without gaps by falling probability, flagged ones before the
-- others.
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
        LAG(probability) OVER own AS before,
        LAG(flagged) OVER own AS flagged_before
    FROM localization.level_findings
    WINDOW own AS (PARTITION BY study_key, condition ORDER BY rank, probability DESC)
)
SELECT study_key, condition, rank, wanted, probability, before, flagged
FROM ranked
WHERE
    rank IS DISTINCT FROM wanted
    OR probability > before
    OR (flagged AND NOT flagged_before)
    OR flagged IS NULL
ORDER BY study_key, condition, wanted;
