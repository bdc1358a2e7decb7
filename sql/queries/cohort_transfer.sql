-- Do heads trained on one cohort work on another, and what is lost against training within it?
-- columns:
--   sequence_set      t1, t2, other, all
--   train_cohort      cohort of the train patients
--   test_cohort       cohort of the tested patients
--   test_splits       their splits; none of them trained anything
--   condition         canal, neuroforaminal, subarticular, mean
--   n_train_patients  patients trained on
--   n_test_studies    studies tested
--   n_positive        of them with the condition
--   auroc             area under the ROC curve; null when not evaluable
--   auroc_low         lower end of the 95 % bootstrap interval over patients
--   auroc_high        upper end
--   difference        to training within the tested cohort, same patients
--   difference_low    lower end of its interval
--   difference_high   upper end
--   reason            why not evaluable; null otherwise
SELECT
    cohorts.sequence_set,
    cohorts.train_cohort,
    cohorts.test_cohort,
    cohorts.test_splits,
    cohorts.condition,
    cohorts.n_train_patients,
    cohorts.n_test_studies,
    cohorts.n_positive,
    cohorts.auroc,
    cohorts.auroc_low,
    cohorts.auroc_high,
    cohorts.difference,
    cohorts.difference_low,
    cohorts.difference_high,
    cohorts.reason
FROM probes.cohorts AS cohorts
LEFT JOIN labels.conditions AS conditions ON conditions.condition = cohorts.condition
ORDER BY
    cohorts.sequence_set,
    -- Transfer first, training within the cohort beside it.
    cohorts.test_cohort,
    cohorts.train_cohort = cohorts.test_cohort,
    cohorts.train_cohort,
    conditions.position NULLS FIRST;
