-- Every vector has elements, and all of them are finite numbers.
-- table: embeddings.slices
-- severity: error
WITH vectors AS (
    SELECT 'slices' AS thing, batch_key, slice_key AS subject, encoder, vector FROM embeddings.slices
    UNION ALL
    SELECT 'series', batch_key, series_key, encoder, vector FROM embeddings.series
    UNION ALL
    SELECT 'studies', batch_key, study_key, encoder, vector FROM embeddings.studies
)
SELECT thing, batch_key, subject, encoder, LEN(vector) AS elements
FROM vectors
WHERE
    COALESCE(LEN(vector), 0) = 0
    OR LEN(LIST_FILTER(vector, LAMBDA element: NOT COALESCE(ISFINITE(element), FALSE))) > 0
ORDER BY thing, batch_key, subject, encoder;
