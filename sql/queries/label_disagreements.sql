-- Where do labellers differ, and what does each of them quote?
-- columns:
--   study_key    study
--   condition    condition
--   labeller     who says so
--   status       what the labeller says
--   confidence   the labeller's own
--   reason       why it is ambiguous
--   evidence     its quote from the report
--   consensus    what stands now; an adjudication overrules
WITH disputed AS (
    SELECT study_key, condition
    FROM labels.verdicts
    GROUP BY study_key, condition
    HAVING COUNT(DISTINCT label) > 1
)
SELECT
    verdicts.study_key,
    verdicts.condition,
    verdicts.labeller,
    verdicts.status,
    verdicts.confidence,
    verdicts.reason,
    verdicts.evidence,
    consensus.status AS consensus
FROM labels.verdicts AS verdicts
INNER JOIN disputed ON disputed.study_key = verdicts.study_key AND disputed.condition = verdicts.condition
LEFT JOIN labels.consensus AS consensus
    ON consensus.study_key = verdicts.study_key AND consensus.condition = verdicts.condition
ORDER BY verdicts.condition, verdicts.study_key, verdicts.labeller;
