-- Which labels wait for a person: ambiguous in the report, or disputed between labellers?
-- columns:
--   study_key    study
--   condition    condition
--   status       what the labellers made of it
--   agreed       whether they agree
--   labellers    who labelled
--   evidence     quote from the report
SELECT
    study_key,
    condition,
    status,
    agreed,
    labellers,
    evidence
FROM labels.consensus
WHERE label = -1
ORDER BY agreed, study_key, condition;
