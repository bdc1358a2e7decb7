-- All vectors of a route come from one model and one preprocessing; a mixture is a refresh that is not through yet.
-- table: embeddings.studies
-- severity: warn
WITH versions AS (
    SELECT batch_key, route, encoder, model_version, preprocessing_version FROM embeddings.slices
    UNION ALL
    SELECT batch_key, route, encoder, model_version, preprocessing_version FROM embeddings.series
    UNION ALL
    SELECT batch_key, route, encoder, model_version, preprocessing_version FROM embeddings.studies
)
SELECT
    route,
    encoder,
    model_version,
    preprocessing_version,
    COUNT(DISTINCT batch_key) AS batches,
    COUNT(*) AS vectors
FROM versions
WHERE
    route IN (
        SELECT route
        FROM versions
        GROUP BY route
        HAVING COUNT(DISTINCT (encoder, model_version)) > 1 OR COUNT(DISTINCT preprocessing_version) > 1
    )
GROUP BY route, encoder, model_version, preprocessing_version
ORDER BY route, encoder, model_version, preprocessing_version;
