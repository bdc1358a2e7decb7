-- Each supervision and method has one row for every condition.
-- table: localization.scores
-- severity: error
SELECT supervision, method, COUNT(*) AS n_rows, COUNT(DISTINCT condition) AS n_conditions
FROM localization.scores
GROUP BY supervision, method
HAVING
    COUNT(*) <> (SELECT COUNT(*) FROM labels.conditions)
    OR COUNT(DISTINCT condition) <> (SELECT COUNT(*) FROM labels.conditions)
ORDER BY supervision, method;
