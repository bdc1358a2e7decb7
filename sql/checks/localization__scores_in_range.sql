-- An evaluated score has shares between 0 and 1 and distances of at least 0; one that could not be evaluated says why.
-- table: localization.scores
-- severity: error
WITH judged AS (
    SELECT
        *,
        LIST_FILTER(
            [slice_auroc, slice_top1, box_error, iou, iou_over_25, iou_over_50],
            LAMBDA value: value IS NOT NULL AND NOT COALESCE(value BETWEEN 0 AND 1, FALSE)
        ) AS shares_out_of_range,
        LIST_FILTER(
            [slice_distance, slice_distance_mm, centre_distance_mm, found_distance_mm],
            LAMBDA value: ISNAN(value) OR value < 0
        ) AS distances_out_of_range
    FROM localization.scores
)
SELECT condition, supervision, method, status, reason, slice_auroc, slice_top1, iou
FROM judged
WHERE
    NOT COALESCE(status IN ('evaluated', 'not_evaluable'), FALSE)
    OR (status = 'not_evaluable' AND (COALESCE(reason, '') = '' OR slice_auroc IS NOT NULL OR iou IS NOT NULL))
    OR (status = 'evaluated' AND slice_top1 IS NULL)
    OR LEN(shares_out_of_range) > 0
    OR LEN(distances_out_of_range) > 0
ORDER BY condition, supervision, method;
