-- How much do the shards hold, and what does a slice cost, by batch, route, split and contrast?
-- columns:
--   batch_key         batch; all
--   route             t1, t2, other; all
--   split             the patient's: train, val, test, outside; all
--   contrast          contrast family; abstained where it is not known; all
--   series            series
--   slices            slices
--   bytes             of their compressed pixels
--   bytes_per_slice   mean
--   bits_per_pixel    mean over the preprocessed grid; 16 before compression
--   share             bytes over those of all batches
WITH sized AS (
    SELECT
        batch_key,
        route,
        split,
        COALESCE(contrast, 'abstained') AS contrast,
        series_key,
        member_bytes,
        size_px
    FROM shards.slices
),
summed AS (
    SELECT
        COALESCE(batch_key, 'all') AS batch_key,
        COALESCE(route, 'all') AS route,
        COALESCE(split, 'all') AS split,
        COALESCE(contrast, 'all') AS contrast,
        COUNT(DISTINCT series_key) AS series,
        COUNT(*) AS slices,
        SUM(member_bytes)::BIGINT AS bytes,
        AVG(member_bytes) AS bytes_per_slice,
        8 * SUM(member_bytes) / SUM(size_px::BIGINT * size_px) AS bits_per_pixel
    FROM sized
    GROUP BY GROUPING SETS ((batch_key, route, split, contrast), (batch_key), ())
    HAVING COUNT(*) > 0
)
SELECT
    *,
    bytes / (SELECT SUM(member_bytes) FROM sized) AS share
FROM summed
ORDER BY batch_key = 'all', batch_key, route = 'all', route, split, contrast;
