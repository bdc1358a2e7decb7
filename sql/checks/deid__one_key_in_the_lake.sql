-- Every pseudonym of the lake was made with one key: batches of two keys would split a patient in two.
-- table: deid.audit
-- severity: error
SELECT
    batch_key,
    key_id,
    COUNT(*) AS instances
FROM deid.audit
WHERE (SELECT COUNT(DISTINCT COALESCE(key_id, '')) FROM deid.audit) > 1
GROUP BY batch_key, key_id
ORDER BY batch_key, key_id;
