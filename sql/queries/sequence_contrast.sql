-- Which of T1 and T2 tells each condition better, and is that what a radiologist expects?
-- columns:
--   condition        key of the condition
--   name             its name
--   evaluation       cv (patients of train, out of fold), test
--   n_studies        studies that have both sequences
--   n_positive       of them with the condition
--   t1               AUROC by T1
--   t2               AUROC by T2
--   difference       t1 - t2, on the same patients; null when not evaluable
--   difference_low   lower end of the 95 % bootstrap interval over patients
--   difference_high  upper end
--   expected         t1, t2, either
--   agreement        agrees, disagrees, open (the interval holds zero); null where either may win
--   expectation      the clinical reason
--   reason           why not evaluable; null otherwise
SELECT
    contrasts.condition,
    conditions.name,
    contrasts.evaluation,
    contrasts.n_studies,
    contrasts.n_positive,
    contrasts.t1,
    contrasts.t2,
    contrasts.difference,
    contrasts.difference_low,
    contrasts.difference_high,
    contrasts.expected,
    contrasts.agreement,
    contrasts.expectation,
    contrasts.reason
FROM probes.contrasts AS contrasts
LEFT JOIN labels.conditions AS conditions ON conditions.condition = contrasts.condition
WHERE contrasts.encoder = 'spinefm'
ORDER BY contrasts.evaluation, conditions.position;
