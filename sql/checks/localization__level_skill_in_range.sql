-- Thresholds and scores of the heads of levels lie between 0 and 1, intervals have their ends in order, and there are
-- no more positive places than places.
-- table: localization.level_skill
-- severity: error
WITH judged AS (
    SELECT
        *,
        LIST_FILTER(
            [
                threshold, precision, recall, ece,
                auroc, auroc_low, auroc_high,
                prior_auroc, prior_auroc_low, prior_auroc_high,
                study_auroc, study_auroc_low, study_auroc_high
            ],
            LAMBDA value: value IS NOT NULL AND NOT COALESCE(value BETWEEN 0 AND 1, FALSE)
        ) AS out_of_range
    FROM localization.level_skill
)
SELECT condition, status, threshold, auroc, auroc_low, auroc_high, n_places, n_positive
FROM judged
WHERE
    LEN(out_of_range) > 0
    OR auroc_low > auroc_high
    OR prior_auroc_low > prior_auroc_high
    OR study_auroc_low > study_auroc_high
    OR n_positive > n_places
ORDER BY condition;
