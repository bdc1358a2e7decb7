-- Where does each sentence of each draft come from? One row per sentence and claim; a sentence without claims has one.
-- columns:
--   study_key          study of the draft
--   position           of the sentence in the draft
--   section            of the draft
--   kind               finding, negative, not_assessed, technique, notice
--   sentence           its text
--   claim_key          claim that it rests on; null for technique and notice
--   agent              agent that made the claim
--   agent_version      its version
--   condition          condition of the claim
--   status             present, absent, indeterminate, not_assessed
--   probability        of the claim
--   reason             why not assessed
--   model_versions     encoders that the claim rests on
--   source_series      series that the claim rests on
--   source_instances   instances that the claim rests on
SELECT
    sentences.study_key,
    sentences.position,
    sentences.section,
    sentences.kind,
    sentences.text AS sentence,
    said.claim_key,
    claims.agent,
    claims.agent_version,
    claims.condition,
    claims.status,
    claims.probability,
    claims.reason,
    claims.model_versions,
    claims.source_series,
    claims.source_instances
FROM reports.sentences AS sentences
LEFT JOIN reports.sentence_claims AS said
    ON said.draft_key = sentences.draft_key AND said.sentence_key = sentences.sentence_key
LEFT JOIN agents.claims AS claims
    ON claims.claim_key = said.claim_key AND claims.study_key = said.study_key
ORDER BY sentences.study_key, sentences.position, claims.agent, said.claim_key;
