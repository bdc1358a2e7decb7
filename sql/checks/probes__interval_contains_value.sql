-- A bootstrap interval contains its value. On few patients a percentile interval may miss it: look before believing it.
-- table: probes.metrics
-- severity: warn
WITH intervals AS (
    SELECT
        condition,
        encoder,
        sequence_set,
        evaluation,
        n_studies,
        n_positive,
        UNNEST(['auroc', 'auprc']) AS metric,
        UNNEST([auroc, auprc]) AS value,
        UNNEST([auroc_low, auprc_low]) AS low,
        UNNEST([auroc_high, auprc_high]) AS high
    FROM probes.metrics
    WHERE status = 'evaluated'
)
SELECT *
FROM intervals
-- The slack is that of a decimal rounding, not of a statistic.
WHERE value < low - 1e-9 OR value > high + 1e-9 OR low > high
ORDER BY condition, encoder, sequence_set, evaluation, metric;
