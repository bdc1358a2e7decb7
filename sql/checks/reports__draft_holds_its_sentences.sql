-- A draft has as many sentences as it says, and each stands in its text; no sentence lacks its draft.
-- table: reports.drafts
-- severity: error
WITH sentences AS (
    SELECT study_key, draft_key, COUNT(*) AS n, LIST(text) AS texts
    FROM reports.sentences
    GROUP BY study_key, draft_key
)
SELECT
    study_key,
    draft_key,
    drafts.n_sentences AS draft_sentences,
    COALESCE(sentences.n, 0) AS sentences,
    LEN(LIST_FILTER(sentences.texts, LAMBDA sentence: NOT CONTAINS(drafts.report_text, sentence))) AS not_in_text
FROM reports.drafts AS drafts
FULL JOIN sentences USING (study_key, draft_key)
WHERE
    COALESCE(sentences.n, 0) IS DISTINCT FROM drafts.n_sentences
    OR LEN(LIST_FILTER(sentences.texts, LAMBDA sentence: NOT CONTAINS(drafts.report_text, sentence))) > 0
ORDER BY study_key, draft_key;
