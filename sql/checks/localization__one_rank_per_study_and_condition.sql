-- Ranks of a study and condition run from 1 without gaps, all of one supervision and one set of models.
-- table: localization.findings
-- severity: error
SELECT study_key, condition, COUNT(*) AS n_rows, MAX(rank) AS last_rank
FROM localization.findings
GROUP BY study_key, condition
HAVING
    COUNT(*) <> MAX(rank)
    OR COUNT(DISTINCT rank) <> COUNT(*)
    OR COUNT(DISTINCT supervision) <> 1
    OR COUNT(DISTINCT models_version) <> 1
ORDER BY study_key, condition;
