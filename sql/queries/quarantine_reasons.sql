-- What waits in the restricted zone for a person, why, and how large a part of its kind and cohort is it?
-- columns:
--   cohort           name under which the inbox was registered
--   kind             dicom, report, ehr, annotation, other
--   reason           reason code
--   files            number of files
--   share_of_kind    files over all files of the kind in the cohort, duplicates and rejects included
--   batches          batches with such files
WITH kinds AS (
    SELECT cohort, kind, COUNT(*) AS files
    FROM deid.files
    GROUP BY cohort, kind
)
-- Vendor and site of a quarantined file stay in the restricted zone: its header was never cleaned.
SELECT
    files.cohort,
    files.kind,
    files.reason,
    COUNT(*) AS files,
    COUNT(*) / ANY_VALUE(kinds.files) AS share_of_kind,
    COUNT(DISTINCT files.batch_key) AS batches
FROM deid.files AS files
INNER JOIN kinds ON kinds.cohort = files.cohort AND kinds.kind = files.kind
WHERE files.outcome = 'quarantined'
GROUP BY files.cohort, files.kind, files.reason
ORDER BY files.cohort, files DESC, files.kind, files.reason;
