-- Every released study has exactly one claim for each of the 17 conditions, assessed or not.
-- table: agents.claims
-- severity: error
WITH expected AS (
    SELECT studies.batch_key, studies.study_key, conditions.condition
    FROM deid.studies AS studies
    CROSS JOIN labels.conditions AS conditions
    -- A batch that waits for its agents is not yet wrong.
    WHERE studies.batch_key IN (SELECT batch_key FROM agents.claims)
),
found AS (
    SELECT batch_key, study_key, condition, COUNT(*) AS n
    FROM agents.claims
    GROUP BY batch_key, study_key, condition
)
SELECT batch_key, study_key, condition, COALESCE(found.n, 0) AS claims, expected.study_key IS NOT NULL AS is_expected
FROM expected
FULL JOIN found USING (batch_key, study_key, condition)
WHERE expected.study_key IS NULL OR COALESCE(found.n, 0) <> 1
ORDER BY batch_key, study_key, condition;
