-- Every study with a report has exactly one row for each of the 17 conditions, from the rules and in the consensus.
-- table: labels.consensus
-- severity: error
WITH reported AS (
    SELECT DISTINCT batch_key, study_key
    FROM deid.reports
),
expected AS (
    SELECT 'rules' AS thing, reported.*, conditions.condition
    FROM reported
    CROSS JOIN labels.conditions AS conditions
    -- A batch that waits for its labels is not yet wrong.
    WHERE reported.batch_key IN (SELECT batch_key FROM labels.rules)
    UNION ALL
    SELECT 'consensus', reported.*, conditions.condition
    FROM reported
    CROSS JOIN labels.conditions AS conditions
    WHERE reported.batch_key IN (SELECT batch_key FROM labels.consensus)
),
found AS (
    SELECT 'rules' AS thing, batch_key, study_key, condition, COUNT(*) AS n
    FROM labels.rules
    GROUP BY batch_key, study_key, condition
    UNION ALL
    SELECT 'consensus', batch_key, study_key, condition, COUNT(*)
    FROM labels.consensus
    GROUP BY batch_key, study_key, condition
)
SELECT thing, batch_key, study_key, condition, COALESCE(found.n, 0) AS labels, expected.thing IS NOT NULL AS is_expected
FROM expected
FULL JOIN found USING (thing, batch_key, study_key, condition)
WHERE expected.thing IS NULL OR COALESCE(found.n, 0) <> 1
ORDER BY thing, batch_key, study_key, condition;
