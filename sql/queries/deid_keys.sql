-- Which keys, profile tables, engines and bases made the lake? One row is what a sound lake has.
-- columns:
--   key_id       public fingerprint of the key
--   table_id     version of the confidentiality profile
--   engine       name and version of the engine
--   hipaa_basis  which basis is claimed
--   batches      batches released so
--   patients     patients in them
--   instances    instances in them
SELECT
    key_id,
    table_id,
    engine,
    hipaa_basis,
    COUNT(DISTINCT batch_key) AS batches,
    COUNT(DISTINCT patient_key) AS patients,
    COUNT(*) AS instances
FROM deid.audit
GROUP BY key_id, table_id, engine, hipaa_basis
ORDER BY instances DESC, key_id, table_id, engine, hipaa_basis;
