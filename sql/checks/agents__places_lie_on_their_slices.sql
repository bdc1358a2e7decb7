-- Every place has an area and lies on a slice of its own study, instance and frame, inside the source image; a level
-- that is uncertain is not named.
-- table: agents.claims
-- severity: error
SELECT places.batch_key, places.study_key, places.claim_key, places.place_number, places.slice_key
FROM agents.places AS places
LEFT JOIN shards.slices AS slices
    ON slices.slice_key = places.slice_key
    AND slices.study_key = places.study_key
    AND slices.series_key = places.series_key
    AND slices.instance_key = places.instance_key
    AND slices.frame IS NOT DISTINCT FROM places.frame
WHERE
    NOT COALESCE(
        places.w > 0
        AND places.h > 0
        AND places.x >= -1e-6
        AND places.y >= -1e-6
        AND places.x + places.w <= slices.source_columns + 1e-6
        AND places.y + places.h <= slices.source_rows + 1e-6
        AND places.level_uncertain = (places.level IS NULL),
        FALSE
    )
ORDER BY places.batch_key, places.study_key, places.claim_key, places.place_number;
