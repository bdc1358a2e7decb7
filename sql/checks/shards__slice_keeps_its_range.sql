-- The stored steps of a slice reach over its window, so nothing that the window shows was cut off.
-- table: shards.slices
-- severity: error
SELECT batch_key, series_key, COUNT(*) AS slices
FROM shards.slices
WHERE
    format >= 2
    AND (
        intensity_step IS NULL
        OR intensity_step <= 0
        OR LEAST(window_low, window_high) < intensity_origin - intensity_step
        OR GREATEST(window_low, window_high) > intensity_origin + 65536 * intensity_step
    )
GROUP BY batch_key, series_key
ORDER BY batch_key, series_key;
