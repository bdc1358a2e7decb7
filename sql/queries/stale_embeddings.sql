-- Which slices wait to be embedded, and why, by batch and route?
-- The model in use on a route is the one that no batch has moved away from; where refreshes moved both ways or not at
-- all, the one that most slices have. A model that no batch has been embedded with yet is not known here.
-- columns:
--   batch_key      batch to refresh
--   route          t1, t2, other; other only once there is a synthesizer
--   reason         new_slice, new_preprocessing, new_pixels, new_model, vanished; the first that applies
--   slices         slices
--   series         series with such a slice
--   studies        studies with such a slice
--   model_version  that their vectors have; null where they have none
--   model_in_use   of the route
WITH held AS (
    SELECT batch_key, study_key, series_key, slice_key, route, model_version, preprocessing_version, pixel_hash
    FROM embeddings.slices
),
left_behind AS (
    SELECT DISTINCT route, model_version_before AS model_version
    FROM embeddings.refreshed
    WHERE model_version_before <> model_version_after
),
versions AS (
    SELECT held.route, held.model_version, COUNT(*) AS slices, COUNT(left_behind.route) > 0 AS is_left_behind
    FROM held
    LEFT JOIN left_behind ON left_behind.route = held.route AND left_behind.model_version = held.model_version
    GROUP BY held.route, held.model_version
),
in_use AS (
    SELECT route, model_version
    FROM versions
    QUALIFY ROW_NUMBER() OVER (PARTITION BY route ORDER BY is_left_behind, slices DESC, model_version) = 1
),
judged AS (
    SELECT
        slices.batch_key,
        slices.route,
        slices.slice_key,
        slices.series_key,
        slices.study_key,
        held.model_version,
        CASE
            WHEN held.slice_key IS NULL THEN 'new_slice'
            WHEN held.preprocessing_version IS DISTINCT FROM slices.preprocessing_version THEN 'new_preprocessing'
            WHEN held.pixel_hash IS DISTINCT FROM slices.pixel_hash THEN 'new_pixels'
            WHEN held.model_version IS DISTINCT FROM in_use.model_version THEN 'new_model'
        END AS reason
    FROM shards.slices AS slices
    LEFT JOIN held ON held.slice_key = slices.slice_key AND held.route = slices.route
    LEFT JOIN in_use ON in_use.route = slices.route
    WHERE
        slices.route IN ('t1', 't2')
        OR slices.route IN (SELECT route FROM held)
        -- Gates are exported of a trained synthesizer alone.
        OR EXISTS (SELECT 1 FROM synthesizer.gates)
    UNION ALL
    SELECT held.batch_key, held.route, held.slice_key, held.series_key, held.study_key, held.model_version, 'vanished'
    FROM held
    ANTI JOIN shards.slices AS slices ON slices.slice_key = held.slice_key AND slices.route = held.route
)
SELECT
    judged.batch_key,
    judged.route,
    judged.reason,
    COUNT(*) AS slices,
    COUNT(DISTINCT judged.series_key) AS series,
    COUNT(DISTINCT judged.study_key) AS studies,
    judged.model_version,
    in_use.model_version AS model_in_use
FROM judged
LEFT JOIN in_use ON in_use.route = judged.route
WHERE judged.reason IS NOT NULL
GROUP BY judged.batch_key, judged.route, judged.reason, judged.model_version, in_use.model_version
ORDER BY judged.batch_key, judged.route, judged.reason, judged.model_version;
