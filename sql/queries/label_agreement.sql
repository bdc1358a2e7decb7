-- How far do two labellers agree on each condition?
-- columns:
--   condition        key of the condition, or all
--   first            one labeller
--   second           the other
--   studies          studies that both have read
--   observed         share of equal labels
--   kappa            Cohen's kappa: agreement beyond chance; empty where neither labeller varies
--   pabak            the same with chance taken as equal for all labels
--   first_present    labelled 1 by the first
--   second_present   labelled 1 by the second
SELECT
    agreement.condition,
    agreement.first,
    agreement.second,
    agreement.studies,
    agreement.observed,
    agreement.kappa,
    agreement.pabak,
    agreement.first_present,
    agreement.second_present
FROM labels.agreement AS agreement
LEFT JOIN labels.conditions AS conditions ON conditions.condition = agreement.condition
ORDER BY agreement.first, agreement.second, conditions.position NULLS FIRST;
