-- Every study with claims, of a batch that was written, has one row, with a text or the reason why there is none.
-- table: llava.written
-- severity: error
WITH expected AS (
    SELECT DISTINCT batch_key, study_key FROM agents.claims
    -- A batch that waits for the report model is not yet wrong.
    WHERE batch_key IN (SELECT batch_key FROM llava.written)
),
found AS (
    SELECT
        batch_key,
        study_key,
        COUNT(*) AS n,
        BOOL_AND((COALESCE(text, '') = '') = (reason IS NOT NULL)) AS says_why
    FROM llava.written
    GROUP BY batch_key, study_key
)
SELECT batch_key, study_key, COALESCE(found.n, 0) AS texts, found.says_why
FROM expected
FULL JOIN found USING (batch_key, study_key)
WHERE expected.study_key IS NULL OR COALESCE(found.n, 0) <> 1 OR NOT COALESCE(found.says_why, FALSE)
ORDER BY batch_key, study_key;
