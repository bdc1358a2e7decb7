-- How well do heads tell which level has a condition, beside how often reports name each level?
-- columns:
--   condition         key of the condition
--   name              its name
--   status            fitted, not_fitted
--   sided             judged once a side
--   n_positive        levels (and sides) of train patients that their reports name
--   test_patients     test patients that it was measured on
--   test_positive     of their levels (and sides) those that reports name
--   auroc             of levels (and sides) of test patients; null where not measured
--   auroc_low         lower end of the 95 % bootstrap interval over patients
--   auroc_high        upper end
--   prior_auroc       of how often train reports name the level; looks at no pixel
--   prior_auroc_low   lower end of its interval
--   prior_auroc_high  upper end
--   study_auroc       of whole studies, by their most probable level
--   study_auroc_low   lower end of its interval
--   study_auroc_high  upper end
--   threshold         probability from which on a level is flagged, and may be named
--   precision         of the flagged, on train patients out of fold
--   recall            of what train reports name, out of fold
--   ece               expected calibration error of test patients
--   reason            why not fitted, or why there are no test scores; null otherwise
SELECT
    skill.condition,
    conditions.name,
    skill.status,
    skill.sided,
    skill.n_positive,
    skill.test_patients,
    skill.test_positive,
    skill.auroc,
    skill.auroc_low,
    skill.auroc_high,
    skill.prior_auroc,
    skill.prior_auroc_low,
    skill.prior_auroc_high,
    skill.study_auroc,
    skill.study_auroc_low,
    skill.study_auroc_high,
    skill.threshold,
    skill.precision,
    skill.recall,
    skill.ece,
    COALESCE(skill.reason, skill.unmeasured) AS reason
FROM localization.level_skill AS skill
LEFT JOIN labels.conditions AS conditions ON conditions.condition = skill.condition
ORDER BY conditions.position, skill.condition;
