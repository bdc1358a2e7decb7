-- What waits to be computed, or was computed from something that has changed since?
-- columns:
--   stage       stage to materialise again
--   batch_key   for this batch
--   reason      why
--   subjects    how many studies, slices or claims it concerns
WITH batches AS (
    SELECT batch_key, COUNT(*) AS studies
    FROM deid.studies
    GROUP BY batch_key
),
found AS (
    SELECT 1 AS step, 'sequences' AS stage, batch_key, 'studies are not classified' AS reason, studies AS subjects
    FROM batches
    WHERE batch_key NOT IN (SELECT batch_key FROM sequences.series)
    UNION ALL
    SELECT 2, 'labels', batch_key, 'reports are not labelled', COUNT(*)
    FROM deid.reports
    WHERE batch_key NOT IN (SELECT batch_key FROM labels.consensus)
    GROUP BY batch_key
    UNION ALL
    SELECT 3, 'shards', batch_key, 'series are not in shards', COUNT(*)
    FROM sequences.series
    WHERE route IN ('t1', 't2') AND batch_key NOT IN (SELECT batch_key FROM shards.slices)
    GROUP BY batch_key
    UNION ALL
    SELECT
        4,
        'embeddings',
        slices.batch_key,
        CASE
            WHEN vectors.slice_key IS NULL THEN 'slices have no vector'
            WHEN vectors.pixel_hash <> slices.pixel_hash THEN 'pixels have changed'
            ELSE 'preprocessing has changed'
        END AS reason,
        COUNT(*)
    FROM shards.slices AS slices
    LEFT JOIN embeddings.slices AS vectors ON vectors.slice_key = slices.slice_key
    WHERE
        (slices.route IN ('t1', 't2') OR slices.route IN (SELECT route FROM embeddings.slices))
        AND (
            vectors.slice_key IS NULL
            OR vectors.pixel_hash IS DISTINCT FROM slices.pixel_hash
            OR vectors.preprocessing_version IS DISTINCT FROM slices.preprocessing_version
        )
    GROUP BY slices.batch_key, reason
    UNION ALL
    SELECT 5, 'agents', batch_key, 'studies have no claims', studies
    FROM batches
    WHERE batch_key NOT IN (SELECT batch_key FROM agents.claims)
    UNION ALL
    SELECT 5, 'agents', claims.batch_key, 'vectors have changed since the claim', COUNT(DISTINCT claims.claim_key)
    FROM (SELECT batch_key, study_key, claim_key, UNNEST(model_versions) AS model_version FROM agents.claims) AS claims
    ANTI JOIN embeddings.studies AS vectors
        ON vectors.study_key = claims.study_key AND vectors.model_version = claims.model_version
    GROUP BY claims.batch_key
    UNION ALL
    SELECT 6, 'reports', claims.batch_key, 'claims are not in a draft', COUNT(*)
    FROM agents.claims AS claims
    ANTI JOIN reports.sentence_claims AS said
        ON said.study_key = claims.study_key AND said.claim_key = claims.claim_key
    GROUP BY claims.batch_key
)
SELECT stage, batch_key, reason, subjects
FROM found
ORDER BY step, batch_key, reason;
