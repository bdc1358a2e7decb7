-- Every known error in a draft that is right moves the metric the right way.
-- table: scores.perturbations
-- severity: error
SELECT kind, expected, status, reason, n_tried, n_right, f1_after
FROM scores.perturbations
WHERE
    (status = 'evaluated' AND NOT COALESCE(n_right = n_tried AND n_tried > 0 AND f1_after < 1, FALSE))
    OR (status = 'not_evaluable' AND COALESCE(reason, '') = '')
    OR NOT COALESCE(status IN ('evaluated', 'not_evaluable'), FALSE)
ORDER BY kind;
