-- Is the encoder better than its baselines? Mean scores over the same conditions, and what SpineFM gains over each.
-- columns:
--   sequence_set        t1, t2, other, all (every route that a study has)
--   evaluation          cv (patients of train, out of fold), test
--   metric              auroc, auprc
--   encoder             spinefm, spinefm_aligned, or the name of a baseline
--   head                linear, mil
--   conditions          conditions that every compared encoder can be evaluated on; the mean is of these
--   mean                mean over them
--   mean_low            lower end of its 95 % bootstrap interval over patients
--   mean_high           upper end
--   best_baseline       whether this is the baseline of the highest mean
--   spinefm_gain        what SpineFM's linear probe gains over this encoder, as a share of this encoder's mean
--   spinefm_gain_low    lower end of its paired interval; above zero: SpineFM is better
--   spinefm_gain_high   upper end; below zero: SpineFM is worse
--   p                   two-sided paired bootstrap p of no difference
--   reason              why there is no mean, or no gain; null otherwise
WITH means AS (
    SELECT
        * EXCLUDE (auroc, auroc_low, auroc_high, auprc, auprc_low, auprc_high),
        UNNEST(['auroc', 'auprc']) AS metric,
        UNNEST([auroc, auprc]) AS mean,
        UNNEST([auroc_low, auprc_low]) AS mean_low,
        UNNEST([auroc_high, auprc_high]) AS mean_high
    FROM probes.summary
),
gains AS (
    SELECT *
    FROM probes.comparisons
    WHERE condition IS NULL AND encoder = 'spinefm' AND head = 'linear'
)
SELECT
    means.sequence_set,
    means.evaluation,
    means.metric,
    means.encoder,
    means.head,
    means.n_conditions AS conditions,
    means.mean,
    means.mean_low,
    means.mean_high,
    COALESCE(gains.best_baseline, FALSE) AS best_baseline,
    gains.relative_gain AS spinefm_gain,
    gains.relative_gain_low AS spinefm_gain_low,
    gains.relative_gain_high AS spinefm_gain_high,
    gains.p_bootstrap AS p,
    COALESCE(means.reason, gains.reason) AS reason
FROM means
LEFT JOIN gains
    ON
        gains.against = means.encoder
        AND gains.against_head = means.head
        AND gains.sequence_set = means.sequence_set
        AND gains.evaluation = means.evaluation
        AND gains.metric = means.metric
ORDER BY
    means.sequence_set,
    means.evaluation,
    means.metric DESC,
    means.mean DESC NULLS LAST,
    means.encoder,
    means.head;
