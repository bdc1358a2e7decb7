-- Present is 1, absent and not mentioned are 0, ambiguous is -1; labellers that disagree give -1.
-- table: labels.consensus
-- severity: error
WITH verdicts AS (
    SELECT 'rules' AS thing, batch_key, study_key, condition, status, label, TRUE AS agreed
    FROM labels.rules
    UNION ALL
    SELECT 'consensus', batch_key, study_key, condition, status, label, agreed
    FROM labels.consensus
)
SELECT thing, batch_key, study_key, condition, status, label, agreed
FROM verdicts
WHERE
    label IS DISTINCT FROM CASE status
        WHEN 'present' THEN 1
        WHEN 'absent' THEN 0
        WHEN 'not_mentioned' THEN 0
        WHEN 'ambiguous' THEN -1
    END
    AND NOT COALESCE(label = -1 AND NOT agreed, FALSE)
ORDER BY thing, batch_key, study_key, condition;
