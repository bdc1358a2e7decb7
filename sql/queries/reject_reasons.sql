-- Which files of which kind were rejected or quarantined, why, and how large a part of their cohort are they?
-- columns:
--   cohort            name under which the inbox was registered
--   kind              dicom, report, ehr, annotation, other
--   outcome           rejected, quarantined
--   reason            reason code
--   files             number of files
--   share_of_cohort   files over all files of the cohort
WITH cohorts AS (
    SELECT cohort, COUNT(*) AS files
    FROM deid.files
    GROUP BY cohort
)
SELECT
    files.cohort,
    files.kind,
    files.outcome,
    files.reason,
    COUNT(*) AS files,
    COUNT(*) / ANY_VALUE(cohorts.files) AS share_of_cohort
FROM deid.files AS files
INNER JOIN cohorts ON cohorts.cohort = files.cohort
WHERE files.outcome IN ('rejected', 'quarantined')
GROUP BY files.cohort, files.kind, files.outcome, files.reason
ORDER BY files.cohort, files DESC, files.kind, files.outcome, files.reason;
