-- Every assessed claim has a probability and a confidence, and both are numbers between 0 and 1.
-- table: agents.claims
-- severity: error
SELECT batch_key, study_key, claim_key, agent, status, probability, confidence
FROM agents.claims
WHERE
    -- NaN sorts above every number, so BETWEEN refuses it too.
    NOT COALESCE(probability BETWEEN 0 AND 1, status = 'not_assessed')
    OR NOT COALESCE(confidence BETWEEN 0 AND 1, status = 'not_assessed')
ORDER BY batch_key, study_key, agent;
