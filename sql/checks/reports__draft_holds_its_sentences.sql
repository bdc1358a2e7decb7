-- A draft has as many sentences as it says, and each stands in its text; no sentence lacks its draft.
-- table: reports.drafts
-- severity: error
WITH sentences AS (
    SELECT draft_key, COUNT(*) AS n, LIST(REGEXP_REPLACE(text, '\s+', ' ', 'g')) AS texts
    FROM reports.sentences
    GROUP BY draft_key
),
drafts AS (
    -- The text of a draft is wrapped; its sentences are not.
    SELECT study_key, draft_key, n_sentences, REGEXP_REPLACE(report_text, '\s+', ' ', 'g') AS flat_text
    FROM reports.drafts
),
compared AS (
    SELECT
        drafts.study_key,
        draft_key,
        drafts.n_sentences AS draft_sentences,
        COALESCE(sentences.n, 0) AS sentences,
        LEN(
            LIST_FILTER(sentences.texts, LAMBDA sentence: NOT COALESCE(CONTAINS(drafts.flat_text, sentence), FALSE))
        ) AS not_in_text
    FROM drafts
    FULL JOIN sentences USING (draft_key)
)
SELECT study_key, draft_key, draft_sentences, sentences, not_in_text
FROM compared
WHERE sentences IS DISTINCT FROM draft_sentences OR not_in_text > 0
ORDER BY study_key, draft_key;
