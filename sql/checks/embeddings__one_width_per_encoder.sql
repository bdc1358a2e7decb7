-- All vectors of one model version have the same number of elements.
-- table: embeddings.slices
-- severity: error
WITH vectors AS (
    SELECT encoder, model_version, LEN(vector) AS width FROM embeddings.slices WHERE LEN(vector) > 0
    UNION ALL
    SELECT encoder, model_version, LEN(vector) FROM embeddings.series WHERE LEN(vector) > 0
    UNION ALL
    SELECT encoder, model_version, LEN(vector) FROM embeddings.studies WHERE LEN(vector) > 0
)
SELECT encoder, model_version, LIST(DISTINCT width ORDER BY width) AS widths, COUNT(*) AS vectors
FROM vectors
GROUP BY encoder, model_version
HAVING COUNT(DISTINCT width) > 1
ORDER BY encoder, model_version;
