-- A level in view has one row in its study, its vectors are finite, and the slices that it was seen on are the study's.
-- table: localization.level_views
-- severity: error
WITH parts AS (
    SELECT study_key, level, 'centre' AS part, centre_slice AS slice_key, centre AS vector FROM localization.level_views
    UNION ALL
    SELECT study_key, level, 'left', left_slice, "left" FROM localization.level_views
    UNION ALL
    SELECT study_key, level, 'right', right_slice, "right" FROM localization.level_views
)
SELECT study_key, level, part, slice_key, COUNT(*) OVER own AS views
FROM parts
WINDOW own AS (PARTITION BY study_key, level, part)
QUALIFY
    COUNT(*) OVER own > 1
    OR (
        slice_key IS NOT NULL
        AND (study_key, slice_key) NOT IN (SELECT (study_key, slice_key) FROM shards.slices)
    )
    OR LEN(LIST_FILTER(vector, LAMBDA element: NOT COALESCE(ISFINITE(element), FALSE))) > 0
ORDER BY study_key, level, part;
