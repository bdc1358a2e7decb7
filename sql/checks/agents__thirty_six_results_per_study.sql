-- Every study with claims has exactly one result of each agent that looks at images.
-- table: agents.results
-- severity: error
WITH expected AS (
    SELECT studies.batch_key, studies.study_key, registry.agent
    FROM (SELECT DISTINCT batch_key, study_key FROM agents.claims) AS studies
    CROSS JOIN agents.registry AS registry
    -- A batch that waits for its results is not yet wrong.
    WHERE registry.kind <> 'report' AND studies.batch_key IN (SELECT batch_key FROM agents.results)
),
found AS (
    SELECT batch_key, study_key, agent, COUNT(*) AS n
    FROM agents.results
    GROUP BY batch_key, study_key, agent
)
SELECT batch_key, study_key, agent, COALESCE(found.n, 0) AS results, expected.study_key IS NOT NULL AS is_expected
FROM expected
FULL JOIN found USING (batch_key, study_key, agent)
WHERE expected.study_key IS NULL OR COALESCE(found.n, 0) <> 1
ORDER BY batch_key, study_key, agent;
