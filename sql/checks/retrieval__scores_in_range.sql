-- An evaluated score has recalls between 0 and 1 that rise with k, a rank of at least 1 and an interval around each;
-- one that could not be evaluated has a reason and no values.
-- table: retrieval.scores
-- severity: error
WITH judged AS (
    SELECT
        *,
        LIST_FILTER(
            [
                recall_1, recall_1_low, recall_1_high, recall_5, recall_5_low, recall_5_high,
                recall_10, recall_10_low, recall_10_high, mrr, mrr_low, mrr_high,
                chance_recall_1, chance_recall_5, chance_recall_10
            ],
            LAMBDA value: COALESCE(value BETWEEN 0 AND 1, FALSE)
        ) AS values_in_range
    FROM retrieval.scores
)
SELECT task, encoder, query, gallery, sequence_set, status, reason, recall_1, recall_5, recall_10, median_rank
FROM judged
WHERE
    NOT COALESCE(status IN ('evaluated', 'not_evaluable'), FALSE)
    OR (
        status = 'evaluated'
        AND (
            LEN(values_in_range) <> 15
            OR NOT recall_1 <= recall_5
            OR NOT recall_5 <= recall_10
            OR NOT COALESCE(median_rank >= 1, FALSE)
            OR recall_5_low > recall_5_high
            OR mrr_low > mrr_high
        )
    )
    OR (status = 'not_evaluable' AND (recall_5 IS NOT NULL OR COALESCE(reason, '') = ''))
ORDER BY task, encoder, query, sequence_set;
