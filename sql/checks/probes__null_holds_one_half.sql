-- With labels shuffled by patient nothing can be learned: the interval of the mean AUROC holds one half.
-- table: probes.null
-- severity: error
SELECT encoder, sequence_set, evaluation, n_repeats, auroc, auroc_low, auroc_high
FROM probes.null
WHERE status = 'evaluated' AND NOT COALESCE(0.5 BETWEEN auroc_low AND auroc_high, FALSE)
ORDER BY encoder, sequence_set, evaluation;
