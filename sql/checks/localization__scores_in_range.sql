-- An evaluated score has a slice AUROC and shares between 0 and 1; one that could not be evaluated says why.
-- table: localization.scores
-- severity: error
SELECT condition, supervision, method, status, reason, slice_auroc, iou
FROM localization.scores
WHERE
    NOT COALESCE(status IN ('evaluated', 'not_evaluable'), FALSE)
    OR (status = 'not_evaluable' AND (COALESCE(reason, '') = '' OR slice_auroc IS NOT NULL OR iou IS NOT NULL))
    OR (status = 'evaluated' AND NOT COALESCE(slice_top1 BETWEEN 0 AND 1, FALSE))
    OR NOT COALESCE(slice_auroc BETWEEN 0 AND 1, TRUE)
    OR NOT COALESCE(iou BETWEEN 0 AND 1, TRUE)
    OR NOT COALESCE(iou_over_50 <= iou_over_25, TRUE)
    OR NOT COALESCE(box_error BETWEEN 0 AND 1, TRUE)
    OR NOT COALESCE(LEAST(slice_distance, centre_distance_mm, found_distance_mm) >= 0, TRUE)
ORDER BY condition, supervision, method;
