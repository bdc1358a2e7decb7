-- Every claim that a sentence rests on exists, and is about the study of the sentence.
-- table: reports.sentences
-- severity: error
SELECT said.batch_key, said.study_key, said.sentence_key, said.claim_key
FROM reports.sentence_claims AS said
ANTI JOIN agents.claims AS claims
    ON claims.study_key = said.study_key AND claims.claim_key = said.claim_key
ORDER BY said.batch_key, said.study_key, said.sentence_key, said.claim_key;
