-- Every claim of a drafted study is said in some sentence of its draft: nothing is left out in silence.
-- table: reports.sentences
-- severity: error
SELECT claims.batch_key, claims.study_key, claims.claim_key, claims.agent, claims.status
FROM agents.claims AS claims
SEMI JOIN reports.drafts AS drafts ON drafts.study_key = claims.study_key
ANTI JOIN reports.sentence_claims AS said
    ON said.study_key = claims.study_key AND said.claim_key = claims.claim_key
ORDER BY claims.batch_key, claims.study_key, claims.agent;
