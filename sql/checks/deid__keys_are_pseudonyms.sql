-- Every key of a released table is 32 lower-case hexadecimal digits; nothing else can be a pseudonym.
-- table: deid.instances
-- severity: error
WITH keys AS (
    SELECT batch_key, 'files' AS thing, 'file_key' AS name, file_key AS value FROM deid.files
    UNION ALL
    SELECT batch_key, 'studies', UNNEST(['patient_key', 'study_key']), UNNEST([patient_key, study_key])
    FROM deid.studies
    UNION ALL
    SELECT
        batch_key,
        'instances',
        UNNEST(['patient_key', 'study_key', 'series_key', 'instance_key']),
        UNNEST([patient_key, study_key, series_key, instance_key])
    FROM deid.instances
    UNION ALL
    SELECT
        batch_key,
        'reports',
        UNNEST(['patient_key', 'study_key', 'report_key']),
        UNNEST([patient_key, study_key, report_key])
    FROM deid.reports
    UNION ALL
    SELECT batch_key, 'annotations', UNNEST(['patient_key', 'study_key']), UNNEST([patient_key, study_key])
    FROM deid.annotations
    UNION ALL
    SELECT batch_key, 'ehr_patients', 'patient_key', patient_key FROM deid.ehr_patients
    UNION ALL
    SELECT batch_key, 'ehr_encounters', 'patient_key', patient_key FROM deid.ehr_encounters
    UNION ALL
    SELECT batch_key, 'ehr_orders', 'patient_key', patient_key FROM deid.ehr_orders
    UNION ALL
    -- A site may leave out its own numbers, and order a study that the archive never received.
    SELECT batch_key, 'ehr_encounters', 'encounter_key', encounter_key
    FROM deid.ehr_encounters
    WHERE encounter_key IS NOT NULL
    UNION ALL
    SELECT batch_key, 'ehr_orders', 'order_key', order_key FROM deid.ehr_orders WHERE order_key IS NOT NULL
    UNION ALL
    SELECT batch_key, 'ehr_orders', 'study_key', study_key FROM deid.ehr_orders WHERE study_key IS NOT NULL
    UNION ALL
    SELECT batch_key, 'audit', UNNEST(['patient_key', 'instance_key']), UNNEST([patient_key, instance_key])
    FROM deid.audit
)
-- The value itself is not shown: if it is not a pseudonym, it may be an identifier.
SELECT batch_key, thing, name, COUNT(*) AS rows_with_another_value
FROM keys
WHERE NOT COALESCE(REGEXP_FULL_MATCH(value, '[0-9a-f]{32}'), FALSE)
GROUP BY batch_key, thing, name
ORDER BY batch_key, thing, name;
