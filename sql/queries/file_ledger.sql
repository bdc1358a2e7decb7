-- What became of every inbox file? The files of all rows add up to the files of the inboxes.
-- columns:
--   outcome  released, duplicate, rejected, quarantined
--   reason   reason code; null when released
--   files    number of files
SELECT
    outcome,
    reason,
    COUNT(*) AS files
FROM deid.files
GROUP BY outcome, reason
ORDER BY
    LIST_POSITION(['released', 'duplicate', 'rejected', 'quarantined'], outcome),
    files DESC,
    reason;
