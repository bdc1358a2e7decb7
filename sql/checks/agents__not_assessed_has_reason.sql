-- A claim has a known status and says why it was not assessed; where it decided, there is nothing to say why of.
-- table: agents.claims
-- severity: error
SELECT batch_key, study_key, claim_key, agent, status, reason
FROM agents.claims
WHERE
    NOT COALESCE(status IN ('present', 'absent', 'indeterminate', 'not_assessed'), FALSE)
    OR (status = 'not_assessed' AND COALESCE(reason, '') = '')
    -- Indeterminate by the probability alone has no reason, by a guard or an operating point it has one.
    OR (status IN ('present', 'absent') AND COALESCE(reason, '') <> '')
ORDER BY batch_key, study_key, agent;
