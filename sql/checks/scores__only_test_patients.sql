-- Reports are scored, and judged, on studies of test patients alone.
-- table: scores.studies
-- severity: error
WITH scored AS (
    SELECT DISTINCT 'studies' AS thing, patient_key, study_key FROM scores.studies
    UNION ALL
    SELECT DISTINCT 'judged' AS thing, patient_key, study_key FROM scores.judged
)
SELECT scored.thing, scored.study_key, splits.split
FROM scored
LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits
    ON splits.patient_key = scored.patient_key
WHERE splits.split IS DISTINCT FROM 'test'
ORDER BY scored.thing, scored.study_key;
