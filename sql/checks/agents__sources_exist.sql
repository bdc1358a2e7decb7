-- Every assessed claim names its model versions and source instances, and all its sources were released with its study.
-- table: agents.claims
-- severity: error
WITH sources AS (
    SELECT batch_key, study_key, claim_key, agent, 'series' AS kind, UNNEST(source_series) AS source_key
    FROM agents.claims
    UNION ALL
    SELECT batch_key, study_key, claim_key, agent, 'instance', UNNEST(source_instances)
    FROM agents.claims
),
released AS (
    SELECT DISTINCT study_key, 'series' AS kind, series_key AS source_key FROM deid.instances
    UNION ALL
    SELECT study_key, 'instance', instance_key FROM deid.instances
)
SELECT batch_key, study_key, claim_key, agent, kind, source_key
FROM sources
ANTI JOIN released USING (study_key, kind, source_key)
UNION ALL
SELECT batch_key, study_key, claim_key, agent, 'nothing named', NULL
FROM agents.claims
WHERE
    status <> 'not_assessed'
    AND (COALESCE(LEN(source_instances), 0) = 0 OR COALESCE(LEN(model_versions), 0) = 0)
ORDER BY batch_key, study_key, agent, kind, source_key;
