-- Is the encoder better than its baselines? Mean AUROC over the conditions that all encoders could be evaluated on.
-- columns:
--   sequence_set    t1, t2, all
--   evaluation      cv (patients of train, out of fold), test
--   encoder         spinefm, or the name of a baseline
--   conditions      conditions that count
--   mean_auroc      mean AUROC over them
--   mean_auprc      mean AUPRC over them
--   best_in         conditions in which no other encoder has a higher AUROC
WITH evaluated AS (
    SELECT
        *,
        COUNT(*) OVER (PARTITION BY sequence_set, evaluation, condition) AS encoders,
        MAX(auroc) OVER (PARTITION BY sequence_set, evaluation, condition) AS best_auroc
    FROM probes.metrics
    WHERE status = 'evaluated'
),
-- A mean over different conditions would compare conditions, not encoders.
comparable AS (
    SELECT *
    FROM evaluated
    QUALIFY encoders = MAX(encoders) OVER (PARTITION BY sequence_set, evaluation)
)
SELECT
    sequence_set,
    evaluation,
    encoder,
    COUNT(*) AS conditions,
    AVG(auroc) AS mean_auroc,
    AVG(auprc) AS mean_auprc,
    COUNT(*) FILTER (WHERE auroc = best_auroc) AS best_in
FROM comparable
GROUP BY sequence_set, evaluation, encoder
ORDER BY sequence_set, evaluation, mean_auroc DESC, encoder;
