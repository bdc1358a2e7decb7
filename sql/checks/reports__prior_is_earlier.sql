-- The study that a draft is compared with is of the same patient, and earlier.
-- table: reports.drafts
-- severity: error
SELECT drafts.study_key, drafts.prior_study_key, studies.study_date, priors.study_date AS prior_date
FROM reports.drafts AS drafts
LEFT JOIN deid.studies AS studies ON studies.study_key = drafts.study_key
LEFT JOIN deid.studies AS priors ON priors.study_key = drafts.prior_study_key
WHERE
    drafts.prior_study_key IS NOT NULL
    AND NOT COALESCE(
        priors.patient_key = drafts.patient_key AND priors.study_date < studies.study_date, FALSE
    )
ORDER BY drafts.study_key;
