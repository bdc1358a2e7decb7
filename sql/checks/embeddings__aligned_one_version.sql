-- All aligned vectors of clip come from one model, and so do the synthesizer's; a mixture is a refresh that is not
-- through yet, and cannot be searched.
-- table: embeddings.aligned
-- severity: warn
WITH versions AS (
    SELECT batch_key, SPLIT_PART(encoder, '-', 1) AS model, model_version FROM embeddings.aligned
    UNION ALL
    SELECT batch_key, SPLIT_PART(encoder, '-', 1), model_version FROM embeddings.aligned_slices
)
SELECT model, model_version, COUNT(DISTINCT batch_key) AS batches, COUNT(*) AS vectors
FROM versions
WHERE model IN (SELECT model FROM versions GROUP BY model HAVING COUNT(DISTINCT model_version) > 1)
GROUP BY model, model_version
ORDER BY model, model_version;
