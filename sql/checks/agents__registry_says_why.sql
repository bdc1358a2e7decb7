-- Each of the 37 agents is registered once, is trained or says why not, and has a figure or says why not.
-- table: agents.registry
-- severity: error
SELECT agent, kind, trained, reason, value, unmeasured
FROM agents.registry
WHERE
    NOT COALESCE(trained OR reason <> '', FALSE)
    OR (value IS NULL) = (unmeasured IS NULL)
    OR NOT COALESCE(ISFINITE(value) AND value BETWEEN low AND high, value IS NULL OR low IS NULL)
    OR (kind = 'diagnosis' AND NOT COALESCE(grades_severity OR severity_reason <> '', FALSE))
    OR agent IN (SELECT agent FROM agents.registry GROUP BY agent HAVING COUNT(*) > 1)
UNION ALL
SELECT NULL, wanted.kind, NULL, FORMAT('{} agents', COUNT(registry.agent)), NULL, NULL
FROM (VALUES ('diagnosis', 17), ('localization', 17), ('retrieval', 2), ('report', 1)) AS wanted (kind, n)
LEFT JOIN agents.registry AS registry ON registry.kind = wanted.kind
-- An installation that has registered nobody yet is not wrong.
WHERE EXISTS (SELECT 1 FROM agents.registry)
GROUP BY wanted.kind, wanted.n
HAVING COUNT(registry.agent) <> wanted.n
ORDER BY agent, kind;
