-- The skill of the heads of levels has one row for every condition, all of the same heads.
-- table: localization.level_skill
-- severity: error
SELECT
    COUNT(*) AS n_rows,
    COUNT(DISTINCT conditions.condition) AS n_conditions,
    COUNT(DISTINCT skill.heads_version) AS n_versions
FROM localization.level_skill AS skill
LEFT JOIN labels.conditions AS conditions ON conditions.condition = skill.condition
HAVING
    -- An installation that has fitted nothing yet is not wrong.
    COUNT(*) > 0
    AND (
        COUNT(*) <> (SELECT COUNT(*) FROM labels.conditions)
        OR COUNT(DISTINCT conditions.condition) <> (SELECT COUNT(*) FROM labels.conditions)
        OR COUNT(DISTINCT skill.heads_version) <> 1
        OR COUNT(skill.heads_version) <> COUNT(*)
    );
