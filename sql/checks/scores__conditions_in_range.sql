-- An evaluated AUROC lies between 0 and 1 within its interval's reach and has both classes; any other has a reason.
-- table: scores.conditions
-- severity: error
SELECT method, condition, score, status, reason, n_studies, n_positive, auroc
FROM scores.conditions
WHERE
    NOT COALESCE(status IN ('evaluated', 'not_evaluable'), FALSE)
    OR (
        status = 'evaluated'
        AND NOT COALESCE(
            auroc BETWEEN 0 AND 1
            AND COALESCE(auroc_low <= auroc_high, TRUE)
            AND (condition = 'all' OR n_positive BETWEEN 1 AND n_studies - 1),
            FALSE
        )
    )
    OR (status = 'not_evaluable' AND (auroc IS NOT NULL OR COALESCE(reason, '') = ''))
ORDER BY method, score, condition;
