-- Every released instance has exactly one audit record, and every audit record its released instance.
-- table: deid.audit
-- severity: error
WITH instances AS (
    SELECT instance_key, MIN(batch_key) AS batch_key, COUNT(*) AS instances
    FROM deid.instances
    GROUP BY instance_key
),
records AS (
    SELECT instance_key, MIN(batch_key) AS batch_key, COUNT(*) AS records
    FROM deid.audit
    GROUP BY instance_key
)
SELECT
    COALESCE(instances.batch_key, records.batch_key) AS batch_key,
    COALESCE(instances.instance_key, records.instance_key) AS instance_key,
    COALESCE(instances, 0) AS instances,
    COALESCE(records, 0) AS audit_records
FROM instances
FULL JOIN records ON records.instance_key = instances.instance_key
WHERE COALESCE(instances, 0) <> 1 OR COALESCE(records, 0) <> 1
ORDER BY batch_key, instance_key;
