-- How often does each condition occur in the reports, and in each split?
-- columns:
--   condition       key of the condition
--   name            its name
--   studies         studies with a consensus label
--   present         labelled 1
--   absent          labelled 0 because the report denies it
--   not_mentioned   labelled 0 because the report is silent
--   ambiguous       labelled -1: neither trained on nor evaluated
--   prevalence      present over all that are not ambiguous
--   train_present   present among patients of train
--   val_present     present among patients of val
--   test_present    present among patients of test
WITH labelled AS (
    SELECT consensus.condition, consensus.status, consensus.label, splits.split
    FROM labels.consensus AS consensus
    LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits
        ON splits.patient_key = consensus.patient_key
)
SELECT
    conditions.condition,
    conditions.name,
    COUNT(labelled.label) AS studies,
    COUNT(*) FILTER (WHERE labelled.label = 1) AS present,
    COUNT(*) FILTER (WHERE labelled.label = 0 AND labelled.status = 'absent') AS absent,
    COUNT(*) FILTER (WHERE labelled.label = 0 AND labelled.status <> 'absent') AS not_mentioned,
    COUNT(*) FILTER (WHERE labelled.label = -1) AS ambiguous,
    -- A quotient by zero is null: of nothing, no part is known.
    COUNT(*) FILTER (WHERE labelled.label = 1)
    / NULLIF(COUNT(*) FILTER (WHERE labelled.label IN (0, 1)), 0) AS prevalence,
    COUNT(*) FILTER (WHERE labelled.label = 1 AND labelled.split = 'train') AS train_present,
    COUNT(*) FILTER (WHERE labelled.label = 1 AND labelled.split = 'val') AS val_present,
    COUNT(*) FILTER (WHERE labelled.label = 1 AND labelled.split = 'test') AS test_present
FROM labels.conditions AS conditions
LEFT JOIN labelled ON labelled.condition = conditions.condition
GROUP BY conditions.position, conditions.condition, conditions.name
ORDER BY conditions.position;
