-- Every slice of a route that has an encoder has one vector, of its present pixels; in batches that are embedded.
-- table: embeddings.slices
-- severity: error
WITH vectors AS (
    SELECT slice_key, COUNT(*) AS n, BOOL_AND(vector IS NOT NULL) AS is_whole, MIN(pixel_hash) AS pixel_hash
    FROM embeddings.slices
    GROUP BY slice_key
)
SELECT
    slices.batch_key,
    slices.study_key,
    slices.slice_key,
    slices.route,
    COALESCE(vectors.n, 0) AS vectors,
    vectors.pixel_hash IS DISTINCT FROM slices.pixel_hash AS is_stale
FROM shards.slices AS slices
LEFT JOIN vectors ON vectors.slice_key = slices.slice_key
WHERE
    -- Neither a batch that waits for its vectors nor a route without an encoder is wrong.
    slices.batch_key IN (SELECT batch_key FROM embeddings.slices)
    AND slices.route IN (SELECT route FROM embeddings.slices)
    -- What was embedded before there was a synthesizer waits for route other (query stale_embeddings).
    AND (
        slices.route <> 'other'
        OR slices.batch_key IN (SELECT batch_key FROM embeddings.slices WHERE route = 'other')
    )
    AND (
        COALESCE(vectors.n, 0) <> 1
        OR NOT vectors.is_whole
        OR vectors.pixel_hash IS DISTINCT FROM slices.pixel_hash
    )
ORDER BY slices.batch_key, slices.slice_key;
