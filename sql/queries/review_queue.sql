-- Which labels wait for a person, and which of them first?
-- columns:
--   rank         1 first
--   study_key    study
--   condition    condition
--   reason       disagreement, hedged in the report, or what failed
--   statuses     what each labeller says
--   quotes       what each labeller quotes
--   weight       how much the answer matters: disagreement, urgency of the condition, rarity
SELECT
    rank,
    study_key,
    condition,
    reason,
    statuses,
    quotes,
    weight
FROM labels.review_queue
ORDER BY rank;
