-- An evaluated comparison is the difference of its values, its ratio their quotient; what has none has a reason.
-- table: scores.comparisons
-- severity: error
SELECT method, against, measure, status, reason, value, against_value, difference, ratio, ratio_reason
FROM scores.comparisons
WHERE
    NOT COALESCE(status IN ('evaluated', 'not_evaluable'), FALSE)
    OR (
        status = 'evaluated'
        AND NOT COALESCE(
            ABS(value - against_value - difference) < 1e-9
            AND (ratio IS NULL) = (COALESCE(ratio_reason, '') <> '')
            AND (ratio IS NULL OR ABS(ratio * against_value - value) < 1e-9)
            AND n_studies > 0,
            FALSE
        )
    )
    OR (status = 'not_evaluable' AND (difference IS NOT NULL OR ratio IS NOT NULL OR COALESCE(reason, '') = ''))
ORDER BY method, against, measure;
