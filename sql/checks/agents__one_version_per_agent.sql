-- Every claim and result is by the registered version of its agent: agents of mixed versions never speak together.
-- table: agents.results
-- severity: error
SELECT spoken.agent, spoken.agent_version, registry.version, COUNT(*) AS n
FROM (
    SELECT agent, agent_version FROM agents.claims
    UNION ALL
    SELECT agent, agent_version FROM agents.results
) AS spoken
LEFT JOIN agents.registry AS registry ON registry.agent = spoken.agent
WHERE spoken.agent_version IS DISTINCT FROM registry.version
GROUP BY spoken.agent, spoken.agent_version, registry.version
ORDER BY spoken.agent, spoken.agent_version;
