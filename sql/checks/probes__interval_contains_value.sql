-- A bootstrap interval contains its value. On few patients a percentile interval may miss it: look before believing it.
-- table: probes.metrics
-- severity: warn
WITH intervals AS (
    SELECT
        'metrics' AS table_name,
        condition,
        encoder,
        head,
        sequence_set,
        evaluation,
        UNNEST(['auroc', 'auprc', 'brier', 'ece', 'sensitivity']) AS metric,
        UNNEST([auroc, auprc, brier, ece, sensitivity]) AS value,
        UNNEST([auroc_low, auprc_low, brier_low, ece_low, sensitivity_low]) AS low,
        UNNEST([auroc_high, auprc_high, brier_high, ece_high, sensitivity_high]) AS high
    FROM probes.metrics
    WHERE status = 'evaluated'
    UNION ALL
    SELECT
        'summary',
        NULL,
        encoder,
        head,
        sequence_set,
        evaluation,
        UNNEST(['auroc', 'auprc']),
        UNNEST([auroc, auprc]),
        UNNEST([auroc_low, auprc_low]),
        UNNEST([auroc_high, auprc_high])
    FROM probes.summary
    WHERE status = 'evaluated'
    UNION ALL
    SELECT
        'comparisons',
        condition,
        encoder || ' - ' || against,
        head,
        sequence_set,
        evaluation,
        metric || UNNEST([' difference', ' relative gain']),
        UNNEST([difference, relative_gain]),
        UNNEST([difference_low, relative_gain_low]),
        UNNEST([difference_high, relative_gain_high])
    FROM probes.comparisons
    WHERE status = 'evaluated'
    UNION ALL
    SELECT
        'subgroups',
        condition,
        encoder || ', ' || subgroup,
        'linear',
        sequence_set,
        evaluation,
        UNNEST(['prevalence', 'auroc', 'ece', 'gap', 'difference', 'gap_difference']),
        UNNEST([prevalence, auroc, ece, gap, difference, gap_difference]),
        UNNEST([prevalence_low, auroc_low, ece_low, gap_low, difference_low, gap_difference_low]),
        UNNEST([prevalence_high, auroc_high, ece_high, gap_high, difference_high, gap_difference_high])
    FROM probes.subgroups
    WHERE status = 'evaluated'
)
SELECT *
FROM intervals
-- The slack is that of a decimal rounding, not of a statistic.
WHERE value < low - 1e-9 OR value > high + 1e-9 OR low > high
ORDER BY table_name, condition, encoder, head, sequence_set, evaluation, metric;
