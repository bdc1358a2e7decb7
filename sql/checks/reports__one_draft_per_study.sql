-- Every study with claims has exactly one draft, and no other study has one.
-- table: reports.drafts
-- severity: error
WITH claimed AS (
    SELECT DISTINCT batch_key, study_key
    FROM agents.claims
    -- A batch that waits for its drafts is not yet wrong.
    WHERE batch_key IN (SELECT batch_key FROM reports.drafts)
),
drafted AS (
    SELECT batch_key, study_key, COUNT(*) AS n
    FROM reports.drafts
    GROUP BY batch_key, study_key
)
SELECT batch_key, study_key, COALESCE(drafted.n, 0) AS drafts, claimed.study_key IS NOT NULL AS has_claims
FROM claimed
FULL JOIN drafted USING (batch_key, study_key)
WHERE claimed.study_key IS NULL OR COALESCE(drafted.n, 0) <> 1
ORDER BY batch_key, study_key;
