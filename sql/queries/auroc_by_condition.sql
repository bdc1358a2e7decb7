-- How well does each encoder tell each condition, with intervals?
-- columns:
--   condition        key of the condition
--   name             its name
--   sequence_set     t1, t2, other, all (every route that a study has)
--   evaluation       cv (patients of train, out of fold), test
--   encoder          spinefm, spinefm_aligned (vectors in the space of the reports), or the name of a baseline
--   head             linear, mil (attention over slices)
--   n_studies        studies evaluated
--   n_positive       of them with the condition
--   auroc            area under the ROC curve; null when not evaluable
--   auroc_low        lower end of the 95 % bootstrap interval over patients
--   auroc_high       upper end
--   auprc            average precision
--   auprc_low        lower end
--   auprc_high       upper end
--   sensitivity      at the fixed specificity
--   specificity      the fixed one
--   reason           why not evaluable; null otherwise
SELECT
    metrics.condition,
    conditions.name,
    metrics.sequence_set,
    metrics.evaluation,
    metrics.encoder,
    metrics.head,
    metrics.n_studies,
    metrics.n_positive,
    metrics.auroc,
    metrics.auroc_low,
    metrics.auroc_high,
    metrics.auprc,
    metrics.auprc_low,
    metrics.auprc_high,
    metrics.sensitivity,
    metrics.specificity,
    metrics.reason
FROM probes.metrics AS metrics
LEFT JOIN labels.conditions AS conditions ON conditions.condition = metrics.condition
ORDER BY
    conditions.position,
    metrics.sequence_set,
    metrics.evaluation,
    -- Our own encoder first, the baselines beside it.
    metrics.encoder <> 'spinefm',
    metrics.encoder <> 'spinefm_aligned',
    metrics.encoder,
    metrics.head;
