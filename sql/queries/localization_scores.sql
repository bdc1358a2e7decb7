-- How well is each condition found on its slices, beside two priors that look at no pixel?
-- columns:
--   condition           key of the condition
--   name                its name
--   supervision         supervised: learned from annotations; weak: from the study's head alone
--   method              model, position_prior, image_centre
--   n_patients          test patients with an annotated slice
--   n_slices            their annotated slices
--   slice_auroc         annotated slices against the others of their series, mean over studies
--   slice_auroc_low     lower end of the 95 % bootstrap interval over patients
--   slice_auroc_high    upper end
--   slice_top1          share of studies whose best slice is annotated
--   slice_distance_mm   from the best slice to the nearest annotated one
--   box_error           mean absolute difference of centre and size, in shares of the slice
--   iou                 mean intersection over union with the nearest annotated box
--   iou_low             lower end of its interval
--   iou_high            upper end
--   iou_over_25         share of boxes above 0.25
--   centre_distance_mm  in the plane of the annotated slice
--   found_distance_mm   from the box on the best slice to the nearest annotated one, in the patient
--   reason              why not evaluable; null otherwise
SELECT
    scores.condition,
    conditions.name,
    scores.supervision,
    scores.method,
    scores.n_patients,
    scores.n_slices,
    scores.slice_auroc,
    scores.slice_auroc_low,
    scores.slice_auroc_high,
    scores.slice_top1,
    scores.slice_distance_mm,
    scores.box_error,
    scores.iou,
    scores.iou_low,
    scores.iou_high,
    scores.iou_over_25,
    scores.centre_distance_mm,
    scores.found_distance_mm,
    scores.reason
FROM localization.scores AS scores
LEFT JOIN labels.conditions AS conditions ON conditions.condition = scores.condition
ORDER BY
    conditions.position,
    scores.supervision,
    -- The model first, the priors beside it.
    scores.method <> 'model',
    scores.method;
