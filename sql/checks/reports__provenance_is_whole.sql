-- Every sentence and claim has its provenance, by the agent of the claim, and no other pair has one.
-- table: reports.provenance
-- severity: error
WITH said AS (
    SELECT DISTINCT study_key, sentence_key, claim_key
    FROM reports.sentence_claims
),
told AS (
    SELECT DISTINCT study_key, sentence_key, claim_key, agent, agent_version
    FROM reports.provenance
)
SELECT
    COALESCE(said.study_key, told.study_key) AS study_key,
    COALESCE(said.sentence_key, told.sentence_key) AS sentence_key,
    COALESCE(said.claim_key, told.claim_key) AS claim_key,
    told.agent,
    claims.agent AS agent_of_claim
FROM said
FULL JOIN told
    ON told.study_key = said.study_key
    AND told.sentence_key = said.sentence_key
    AND told.claim_key = said.claim_key
LEFT JOIN agents.claims AS claims ON claims.study_key = said.study_key AND claims.claim_key = said.claim_key
WHERE
    said.claim_key IS NULL
    OR told.claim_key IS NULL
    OR told.agent IS DISTINCT FROM claims.agent
    OR told.agent_version IS DISTINCT FROM claims.agent_version
ORDER BY study_key, sentence_key, claim_key;
