-- A diagnosis agent's result decides as its claim does, and a localization agent's boxes are the claim's places.
-- table: agents.results
-- severity: error
SELECT results.batch_key, results.study_key, results.agent, results.decision, claims.status
FROM agents.results AS results
INNER JOIN agents.claims AS claims ON claims.study_key = results.study_key AND claims.agent = results.agent
WHERE
    results.kind = 'diagnosis'
    AND results.decision IS DISTINCT FROM CASE claims.status
        WHEN 'indeterminate' THEN 'abstain'
        WHEN 'not_assessed' THEN NULL
        ELSE claims.status
    END
UNION ALL
SELECT results.batch_key, results.study_key, results.agent, NULL, claims.status
FROM agents.results AS results
INNER JOIN agents.claims AS claims
    ON claims.study_key = results.study_key
    AND claims.agent = REPLACE(results.agent, 'localization/', 'diagnosis/')
WHERE results.kind = 'localization' AND LEN(results.boxes) <> LEN(claims.places)
ORDER BY batch_key, study_key, agent;
