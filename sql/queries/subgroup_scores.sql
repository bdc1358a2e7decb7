-- Do the heads serve every age, sex and field strength alike? Worst difference first within a dimension.
-- columns:
--   evaluation           cv (patients of train, out of fold), test
--   dimension            age, sex, field_strength
--   subgroup             its value
--   condition            key of the condition; mean
--   n_patients           patients in the subgroup
--   n_positive           studies with the condition; null for the mean
--   prevalence           share of them
--   auroc                area under the ROC curve; null when not evaluable
--   auroc_low            lower end of the 95 % bootstrap interval over patients
--   auroc_high           upper end
--   difference           AUROC less everybody else's
--   difference_low       lower end of its interval
--   difference_high      upper end
--   ece                  expected calibration error; raised by the noise of few studies
--   gap                  mean probability less prevalence
--   gap_difference       gap less everybody else's
--   gap_difference_low   lower end of its interval
--   gap_difference_high  upper end
--   reason               why not evaluable; null otherwise
SELECT
    evaluation,
    dimension,
    subgroup,
    condition,
    n_patients,
    n_positive,
    prevalence,
    auroc,
    auroc_low,
    auroc_high,
    difference,
    difference_low,
    difference_high,
    ece,
    gap,
    gap_difference,
    gap_difference_low,
    gap_difference_high,
    reason
FROM probes.subgroups
ORDER BY evaluation, dimension, condition <> 'mean', difference NULLS LAST, subgroup, condition;
