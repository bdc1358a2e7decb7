-- Every inbox file stands in the ledger once, with a known outcome, and with a reason exactly when it was not released.
-- table: deid.files
-- severity: error
SELECT
    MIN(batch_key) AS batch_key,
    file_key,
    COUNT(*) AS files,
    LIST(DISTINCT outcome ORDER BY outcome) AS outcomes,
    LIST(DISTINCT reason ORDER BY reason) AS reasons
FROM deid.files
GROUP BY file_key
HAVING
    COUNT(*) <> 1
    OR file_key IS NULL
    OR NOT COALESCE(BOOL_AND(outcome IN ('released', 'duplicate', 'rejected', 'quarantined')), FALSE)
    OR BOOL_OR((outcome = 'released') <> (reason IS NULL))
ORDER BY batch_key, file_key;
