-- No released text holds a DICOM UID or another dotted number of four or more parts, such as an internet address.
-- table: deid.instances
-- severity: error
WITH texts AS (
    SELECT
        batch_key,
        'instances' AS thing,
        instance_key AS row_key,
        UNNEST(['series_description', 'protocol_name', 'scanner_model', 'coil', 'body_part', 'sequence_name']) AS name,
        UNNEST([series_description, protocol_name, scanner_model, coil, body_part, sequence_name]) AS value
    FROM deid.instances
    UNION ALL
    SELECT batch_key, 'reports', report_key, 'report_text', report_text FROM deid.reports
    UNION ALL
    SELECT batch_key, 'ehr_encounters', encounter_key, 'note', note FROM deid.ehr_encounters
    UNION ALL
    SELECT batch_key, 'ehr_orders', order_key, UNNEST(['exam', 'reason']), UNNEST([exam, reason])
    FROM deid.ehr_orders
)
-- The text itself is not shown: it may be an identifier.
SELECT batch_key, thing, row_key, name
FROM texts
WHERE REGEXP_MATCHES(value, '[0-9]+(\.[0-9]+){3}')
ORDER BY batch_key, thing, row_key, name;
