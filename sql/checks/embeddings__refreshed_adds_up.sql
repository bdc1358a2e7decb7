-- What a batch's last embedding tells adds up to its vectors; a difference is a run that was killed between two tables.
-- table: embeddings.refreshed
-- severity: warn
WITH told AS (
    SELECT batch_key, route, SUM(n_slices) FILTER (reason <> 'vanished') AS slices
    FROM embeddings.refreshed
    GROUP BY batch_key, route
),
vectors AS (
    SELECT batch_key, route, COUNT(*) AS slices
    FROM embeddings.slices
    GROUP BY batch_key, route
)
SELECT
    COALESCE(told.batch_key, vectors.batch_key) AS batch_key,
    COALESCE(told.route, vectors.route) AS route,
    COALESCE(told.slices, 0) AS told,
    COALESCE(vectors.slices, 0) AS vectors
FROM told
FULL JOIN vectors ON vectors.batch_key = told.batch_key AND vectors.route = told.route
WHERE COALESCE(told.slices, 0) <> COALESCE(vectors.slices, 0)
ORDER BY batch_key, route;
