-- Every released series is classified exactly once, and nothing else is.
-- table: sequences.series
-- severity: error
WITH released AS (
    SELECT DISTINCT batch_key, series_key
    FROM deid.instances
    -- A batch that waits for its classification is not yet wrong.
    WHERE batch_key IN (SELECT batch_key FROM sequences.series)
),
classified AS (
    SELECT batch_key, series_key, COUNT(*) AS classifications
    FROM sequences.series
    GROUP BY batch_key, series_key
)
SELECT
    COALESCE(released.batch_key, classified.batch_key) AS batch_key,
    COALESCE(released.series_key, classified.series_key) AS series_key,
    released.series_key IS NOT NULL AS is_released,
    COALESCE(classifications, 0) AS classifications
FROM released
FULL JOIN classified
    ON classified.batch_key = released.batch_key AND classified.series_key = released.series_key
WHERE released.series_key IS NULL OR COALESCE(classifications, 0) <> 1
ORDER BY batch_key, series_key;
