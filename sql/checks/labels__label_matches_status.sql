-- Present is 1, absent is 0, ambiguous is -1, silence is 0 or -1 as set; labellers that disagree give -1.
-- table: labels.consensus
-- severity: error
WITH verdicts AS (
    SELECT 'verdicts' AS thing, batch_key, study_key, condition, labeller, status, label
    FROM labels.verdicts
    UNION ALL
    SELECT 'consensus', batch_key, study_key, condition, NULL, status, label
    FROM labels.consensus
)
SELECT thing, batch_key, study_key, condition, labeller, status, label
FROM verdicts
WHERE
    NOT COALESCE(
        CASE status
            WHEN 'present' THEN label = 1
            WHEN 'absent' THEN label = 0
            WHEN 'not_mentioned' THEN label IN (0, -1)
            WHEN 'ambiguous' THEN label = -1
        END,
        FALSE
    )
ORDER BY thing, batch_key, study_key, condition, labeller;
