-- Every sentence has its provenance for each claim that it rests on, by the agent of the claim, and for no other.
-- table: reports.provenance
-- severity: error
WITH said AS (
    SELECT DISTINCT said.study_key, said.sentence_key, said.claim_key
    FROM reports.sentence_claims AS said
    SEMI JOIN agents.claims AS claims
        ON claims.study_key = said.study_key AND claims.claim_key = said.claim_key
),
told AS (
    SELECT DISTINCT study_key, sentence_key, claim_key, agent
    FROM reports.provenance
)
SELECT
    COALESCE(said.study_key, told.study_key) AS study_key,
    COALESCE(said.sentence_key, told.sentence_key) AS sentence_key,
    COALESCE(said.claim_key, told.claim_key) AS claim_key,
    told.agent
FROM said
FULL JOIN told
    ON told.study_key = said.study_key
    AND told.sentence_key = said.sentence_key
    AND told.claim_key = said.claim_key
WHERE
    said.claim_key IS NULL
    OR told.claim_key IS NULL
    OR NOT EXISTS (
        SELECT 1
        FROM agents.claims AS claims
        WHERE
            claims.study_key = told.study_key
            AND claims.claim_key = told.claim_key
            AND claims.agent = told.agent
    )
ORDER BY study_key, sentence_key, claim_key;
