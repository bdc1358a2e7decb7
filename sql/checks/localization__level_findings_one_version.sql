-- All levels that were found in a batch were judged by the same heads.
-- table: localization.level_findings
-- severity: error
SELECT
    batch_key,
    LIST(DISTINCT heads_version ORDER BY heads_version) AS heads_versions,
    COUNT(*) AS findings
FROM localization.level_findings
GROUP BY batch_key
HAVING COUNT(DISTINCT heads_version) <> 1 OR COUNT(heads_version) <> COUNT(*)
ORDER BY batch_key;
