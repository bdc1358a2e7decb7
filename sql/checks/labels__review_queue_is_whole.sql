-- Every label that is in doubt waits for a person exactly once, and nothing else does.
-- table: labels.review_queue
-- severity: error
WITH doubtful AS (
    SELECT batch_key, study_key, condition
    FROM labels.consensus
    WHERE
        status = 'ambiguous'
        AND NOT LIST_CONTAINS(labellers, 'adjudication')
        -- The queue is drawn after the batches: one that waits for it is not yet wrong.
        AND EXISTS (SELECT 1 FROM labels.review_queue)
),
waiting AS (
    SELECT batch_key, study_key, condition, COUNT(*) AS n
    FROM labels.review_queue
    GROUP BY batch_key, study_key, condition
)
SELECT batch_key, study_key, condition, COALESCE(waiting.n, 0) AS rows_in_queue
FROM doubtful
FULL JOIN waiting USING (batch_key, study_key, condition)
WHERE doubtful.study_key IS NULL OR COALESCE(waiting.n, 0) <> 1
ORDER BY batch_key, study_key, condition;
