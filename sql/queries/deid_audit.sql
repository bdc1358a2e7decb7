-- What did de-identification do to each batch, by which engine, table and key?
-- columns:
--   batch_key                 study batch
--   engine                    name and version of the engine
--   table_id                  version of the confidentiality profile
--   key_id                    public fingerprint of the key
--   hipaa_basis               which basis is claimed
--   instances                 audited instances
--   without_audit             released instances of the batch that have no record; must be 0
--   removed                   elements removed
--   emptied                   elements emptied
--   replaced                  elements replaced
--   uids_mapped               UIDs replaced by pseudonymous ones
--   dates_shifted             dates shifted
--   cleaned                   texts cleaned
--   kept                      elements kept
WITH missing AS (
    SELECT instances.batch_key, COUNT(*) AS instances
    FROM deid.instances AS instances
    ANTI JOIN deid.audit AS audit ON audit.instance_key = instances.instance_key
    GROUP BY instances.batch_key
),
done AS (
    SELECT
        batch_key,
        engine,
        table_id,
        key_id,
        hipaa_basis,
        COUNT(*) AS instances,
        SUM(removed)::BIGINT AS removed,
        SUM(emptied)::BIGINT AS emptied,
        SUM(replaced)::BIGINT AS replaced,
        SUM(uids_mapped)::BIGINT AS uids_mapped,
        SUM(dates_shifted)::BIGINT AS dates_shifted,
        SUM(cleaned)::BIGINT AS cleaned,
        SUM(kept)::BIGINT AS kept
    FROM deid.audit
    GROUP BY batch_key, engine, table_id, key_id, hipaa_basis
)
SELECT
    batch_key,
    done.engine,
    done.table_id,
    done.key_id,
    done.hipaa_basis,
    COALESCE(done.instances, 0) AS instances,
    COALESCE(missing.instances, 0) AS without_audit,
    done.removed,
    done.emptied,
    done.replaced,
    done.uids_mapped,
    done.dates_shifted,
    done.cleaned,
    done.kept
FROM done
FULL JOIN missing USING (batch_key)
ORDER BY batch_key, engine, table_id, key_id;
