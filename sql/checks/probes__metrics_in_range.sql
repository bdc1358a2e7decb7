-- An evaluated metric has its values, all between 0 and 1; one that could not be evaluated has a reason and no values.
-- A threshold says whose predictions it was chosen on.
-- table: probes.metrics
-- severity: error
WITH judged AS (
    SELECT
        *,
        LIST_FILTER(
            [
                auroc, auroc_low, auroc_high, auprc, auprc_low, auprc_high, brier, brier_low, brier_high,
                ece, ece_low, ece_high, sensitivity, sensitivity_low, sensitivity_high
            ],
            LAMBDA value: COALESCE(value BETWEEN 0 AND 1, FALSE)
        ) AS values_in_range,
        -- NaN stands for no value as well as null does.
        LIST_FILTER([auroc, auprc], LAMBDA value: COALESCE(NOT ISNAN(value), FALSE)) AS scores
    FROM probes.metrics
)
SELECT condition, encoder, head, sequence_set, evaluation, status, reason, auroc, auprc, brier, ece, sensitivity
FROM judged
WHERE
    NOT COALESCE(status IN ('evaluated', 'not_evaluable'), FALSE)
    OR (status = 'evaluated' AND LEN(values_in_range) <> 15)
    OR (threshold IS NOT NULL AND NOT threshold BETWEEN 0 AND 1)
    OR (threshold IS NULL) <> (threshold_on IS NULL)
    OR NOT COALESCE(threshold_on IN ('cv', 'val', 'seen'), TRUE)
    OR (status = 'not_evaluable' AND (LEN(scores) > 0 OR COALESCE(reason, '') = ''))
ORDER BY condition, encoder, head, sequence_set, evaluation;
