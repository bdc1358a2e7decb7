-- Which words of which report does each label stand on?
-- columns:
--   study_key    study
--   condition    condition
--   labeller     who quotes
--   status       what the labeller says
--   quote        the report's own words
--   level        of the worst mention
--   side         of the patient
--   severity     as the report grades it
--   start        first character of the quote in the report text, from 0
SELECT
    verdicts.study_key,
    verdicts.condition,
    verdicts.labeller,
    verdicts.status,
    verdicts.evidence AS quote,
    verdicts.level,
    verdicts.side,
    verdicts.severity,
    verdicts.evidence_start AS start
FROM labels.verdicts AS verdicts
LEFT JOIN labels.conditions AS conditions ON conditions.condition = verdicts.condition
WHERE verdicts.evidence IS NOT NULL
ORDER BY verdicts.study_key, conditions.position, verdicts.labeller;
