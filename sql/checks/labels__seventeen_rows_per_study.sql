-- Every study with a report has exactly one row for each of the 17 conditions, of each labeller and in the consensus.
-- table: labels.consensus
-- severity: error
WITH things AS (
    -- A batch that waits for its labels is not yet wrong.
    SELECT DISTINCT labeller AS thing, batch_key
    FROM labels.verdicts
    UNION
    SELECT DISTINCT 'consensus', batch_key
    FROM labels.consensus
),
expected AS (
    SELECT things.thing, reported.batch_key, reported.study_key, conditions.condition
    FROM (SELECT DISTINCT batch_key, study_key FROM deid.reports) AS reported
    INNER JOIN things ON things.batch_key = reported.batch_key
    CROSS JOIN labels.conditions AS conditions
),
found AS (
    SELECT labeller AS thing, batch_key, study_key, condition, COUNT(*) AS n
    FROM labels.verdicts
    GROUP BY labeller, batch_key, study_key, condition
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
