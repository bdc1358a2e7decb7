-- Every assessed claim has a probability and a confidence, and both are numbers between 0 and 1.
-- table: agents.claims
-- severity: error
SELECT batch_key, study_key, claim_key, agent, status, probability, confidence
FROM agents.claims
WHERE
    -- Parquet statistics leave NaN out, so that a comparison alone may skip the rows that hold it.
    NOT COALESCE(ISFINITE(probability) AND probability BETWEEN 0 AND 1, status = 'not_assessed')
    OR NOT COALESCE(ISFINITE(confidence) AND confidence BETWEEN 0 AND 1, status = 'not_assessed')
ORDER BY batch_key, study_key, agent;
