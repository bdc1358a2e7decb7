-- An evaluated gain is the ratio of its recalls less one, with an interval that is one; what has no gain has a reason.
-- table: retrieval.gains
-- severity: error
SELECT sequence_set, encoder, query, against, next_best, status, reason, recall_5, next_best_recall_5, gain
FROM retrieval.gains
WHERE
    NOT COALESCE(status IN ('evaluated', 'not_evaluable'), FALSE)
    OR NOT COALESCE(against IN ('best_baseline', 'without_synthesizer'), FALSE)
    OR (
        status = 'evaluated'
        AND NOT COALESCE(
            ABS(recall_5 / NULLIF(next_best_recall_5, 0) - 1 - gain) < 1e-9
            AND ISFINITE(gain_low)
            AND ISFINITE(gain_high)
            AND gain_low <= gain_high,
            FALSE
        )
    )
    OR (status = 'not_evaluable' AND (gain IS NOT NULL OR COALESCE(reason, '') = ''))
ORDER BY sequence_set, encoder, query, against;
