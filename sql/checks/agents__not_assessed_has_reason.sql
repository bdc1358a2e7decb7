-- A claim has a known status, and says why exactly when it was not assessed.
-- table: agents.claims
-- severity: error
SELECT batch_key, study_key, claim_key, agent, status, reason
FROM agents.claims
WHERE
    NOT COALESCE(status IN ('present', 'absent', 'indeterminate', 'not_assessed'), FALSE)
    OR (status = 'not_assessed') <> (COALESCE(reason, '') <> '')
ORDER BY batch_key, study_key, agent;
