-- Where does each sentence of each draft come from? One row per sentence, claim and place; one without claims has one.
-- columns:
--   study_key          study of the draft
--   position           of the sentence in the draft
--   section            of the draft
--   kind               finding, negative, undetermined, not_assessed, comparison, technique, notice
--   sentence           its text
--   writer             templates, or the version of the report model
--   linked_by          template, matched, added
--   claim_key          claim that it rests on; null for technique and notice
--   agent              agent that made the claim
--   agent_version      its version
--   condition          condition of the claim
--   status             present, absent, indeterminate, not_assessed
--   certainty          definite, probable, possible; null where nothing is affirmed
--   probability        of the claim
--   reason             why not assessed, or why undetermined
--   place              1 the best; null where the claim is about the study as a whole
--   level              of the place
--   side               of the place
--   series_key         series of the slice
--   slice_key          slice that shows it
--   box                in pixels of the source image
--   instance_key       source image, a pseudonym; the slice is one of its frames
--   model_versions     encoders that the claim rests on
--   source_series      series that the claim rests on
--   source_instances   instances that the claim rests on
SELECT
    sentences.study_key,
    sentences.position,
    sentences.section,
    sentences.kind,
    sentences.text AS sentence,
    drafts.writer,
    sentences.linked_by,
    rests.claim_key,
    rests.agent,
    rests.agent_version,
    rests.condition,
    claims.status,
    claims.certainty,
    claims.probability,
    claims.reason,
    rests.place,
    rests.level,
    rests.side,
    rests.series_key,
    rests.slice_key,
    rests.box,
    rests.instance_key,
    rests.model_versions,
    claims.source_series,
    claims.source_instances
FROM reports.sentences AS sentences
INNER JOIN reports.drafts AS drafts ON drafts.draft_key = sentences.draft_key
LEFT JOIN reports.provenance AS rests
    ON rests.study_key = sentences.study_key AND rests.sentence_key = sentences.sentence_key
LEFT JOIN agents.claims AS claims
    ON claims.claim_key = rests.claim_key AND claims.study_key = rests.study_key
ORDER BY sentences.study_key, sentences.position, rests.agent, rests.claim_key, rests.place;
