-- A level is flagged if and only if its probability reaches the threshold of its condition, of the very heads that
-- judged it. Findings of former heads wait for their refresh; predictions are made with the thresholds.
-- table: localization.level_skill
-- severity: error
WITH judged AS (
    SELECT 'predictions' AS thing, study_key, condition, level, side, probability, flagged, heads_version
    FROM localization.level_predictions
    UNION ALL
    SELECT 'findings', study_key, condition, level, side, probability, flagged, heads_version
    FROM localization.level_findings
    WHERE heads_version IN (SELECT heads_version FROM localization.level_skill)
)
SELECT
    judged.thing,
    judged.study_key,
    judged.condition,
    judged.level,
    judged.side,
    judged.probability,
    skill.threshold,
    judged.flagged
FROM judged
LEFT JOIN localization.level_skill AS skill
    ON skill.condition = judged.condition
    AND skill.heads_version = judged.heads_version
    AND skill.status = 'fitted'
WHERE NOT COALESCE(judged.flagged = (judged.probability >= skill.threshold), FALSE)
ORDER BY judged.thing, judged.study_key, judged.condition, judged.level, judged.side;
