-- A mean that is compared is the mean of the summary wherever both encoders have the same studies, and every pair says
-- why where there is no difference.
-- table: probes.comparisons
-- severity: error
SELECT
    comparisons.sequence_set,
    comparisons.evaluation,
    comparisons.metric,
    comparisons.condition,
    comparisons.encoder,
    comparisons.head,
    comparisons.against,
    comparisons.status,
    comparisons.value,
    comparisons.difference
FROM probes.comparisons AS comparisons
LEFT JOIN probes.summary AS summary
    ON
        summary.encoder = comparisons.encoder
        AND summary.head = comparisons.head
        AND summary.sequence_set = comparisons.sequence_set
        AND summary.evaluation = comparisons.evaluation
WHERE
    NOT COALESCE(comparisons.status IN ('evaluated', 'not_evaluable'), FALSE)
    OR (comparisons.status = 'not_evaluable' AND COALESCE(comparisons.reason, '') = '')
    OR (
        comparisons.status = 'evaluated'
        AND NOT COALESCE(ABS(comparisons.value - comparisons.against_value - comparisons.difference) < 1e-9, FALSE)
    )
    OR (
        comparisons.status = 'evaluated'
        AND comparisons.condition IS NULL
        AND summary.n_studies = comparisons.n_studies
        AND NOT COALESCE(
            ABS(IF(comparisons.metric = 'auroc', summary.auroc, summary.auprc) - comparisons.value) < 1e-9,
            FALSE
        )
    )
    OR NOT COALESCE(comparisons.p_bootstrap BETWEEN 0 AND 1, TRUE)
    OR NOT COALESCE(comparisons.p_delong BETWEEN 0 AND 1, TRUE)
ORDER BY ALL;
