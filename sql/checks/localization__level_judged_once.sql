-- A level of a study, and each side of it, is judged once for a condition in an evaluation, and found once.
-- table: localization.level_predictions
-- severity: error
SELECT 'predictions' AS thing, study_key, condition, level, side, evaluation, COUNT(*) AS n
FROM localization.level_predictions
GROUP BY study_key, condition, level, side, evaluation
HAVING COUNT(*) > 1
UNION ALL
SELECT 'findings', study_key, condition, level, side, NULL, COUNT(*)
FROM localization.level_findings
GROUP BY study_key, condition, level, side
HAVING COUNT(*) > 1
ORDER BY thing, study_key, condition, level, side, evaluation;
