-- All vectors of an encoder come from one model and one preprocessing; a mixture is a refresh that is not through yet.
-- table: embeddings.studies
-- severity: warn
WITH versions AS (
    SELECT batch_key, encoder, model_version, preprocessing_version FROM embeddings.slices
    UNION ALL
    SELECT batch_key, encoder, model_version, preprocessing_version FROM embeddings.series
    UNION ALL
    SELECT batch_key, encoder, model_version, preprocessing_version FROM embeddings.studies
)
SELECT
    encoder,
    model_version,
    preprocessing_version,
    COUNT(DISTINCT batch_key) AS batches,
    COUNT(*) AS vectors
FROM versions
WHERE
    encoder IN (
        SELECT encoder
        FROM versions
        GROUP BY encoder
        HAVING COUNT(DISTINCT model_version) > 1 OR COUNT(DISTINCT preprocessing_version) > 1
    )
GROUP BY encoder, model_version, preprocessing_version
ORDER BY encoder, model_version, preprocessing_version;
