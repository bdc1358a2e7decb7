-- A sentence compares only where its draft names an earlier study of the same patient, and a claim of that study.
-- table: reports.sentences
-- severity: error
SELECT sentences.batch_key, sentences.study_key, sentences.sentence_key, drafts.prior_study_key
FROM reports.sentences AS sentences
LEFT JOIN reports.drafts AS drafts ON drafts.draft_key = sentences.draft_key
WHERE
    (sentences.kind = 'comparison' OR COALESCE(LEN(sentences.prior_claim_keys), 0) > 0)
    AND (
        drafts.prior_study_key IS NULL
        OR sentences.kind <> 'comparison'
        OR NOT EXISTS (
            SELECT 1
            FROM agents.claims AS claims
            WHERE
                claims.study_key = drafts.prior_study_key
                AND claims.patient_key = drafts.patient_key
                AND claims.claim_key = ANY(sentences.prior_claim_keys)
        )
    )
ORDER BY sentences.batch_key, sentences.study_key, sentences.sentence_key;
