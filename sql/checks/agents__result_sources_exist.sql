-- All sources of a result were released with its study.
-- table: agents.results
-- severity: error
WITH sources AS (
    SELECT batch_key, study_key, agent, 'series' AS kind, UNNEST(source_series) AS source_key
    FROM agents.results
    UNION ALL
    SELECT batch_key, study_key, agent, 'instance', UNNEST(source_instances)
    FROM agents.results
),
released AS (
    SELECT DISTINCT study_key, 'series' AS kind, series_key AS source_key FROM deid.instances
    UNION ALL
    SELECT study_key, 'instance', instance_key FROM deid.instances
)
SELECT batch_key, study_key, agent, kind, source_key
FROM sources
ANTI JOIN released USING (study_key, kind, source_key)
ORDER BY batch_key, study_key, agent, kind, source_key;
