-- A stratum has a number exactly where it was evaluated, and a reason everywhere else.
-- table: probes.vendors
-- severity: error
WITH strata AS (
    SELECT 'contrasts' AS of_table, condition AS stratum, evaluation AS place, status, reason, difference AS value
    FROM probes.contrasts
    UNION ALL
    SELECT 'vendors', category, train_vendor || ' to ' || test_vendor, status, reason, auroc
    FROM probes.vendors
    UNION ALL
    SELECT 'cohorts', condition, train_cohort || ' to ' || test_cohort, status, reason, auroc
    FROM probes.cohorts
    UNION ALL
    SELECT 'subgroups', condition, dimension || ' ' || subgroup, status, reason, auroc
    FROM probes.subgroups
    UNION ALL
    SELECT 'scope', route, studies, status, reason, share
    FROM probes.scope
)
SELECT of_table, stratum, place, status, reason, value
FROM strata
WHERE
    NOT COALESCE(status IN ('evaluated', 'not_evaluable'), FALSE)
    OR (status = 'evaluated' AND NOT COALESCE(ISFINITE(value), FALSE))
    OR (status = 'not_evaluable' AND (value IS NOT NULL OR COALESCE(reason, '') = ''))
ORDER BY of_table, stratum, place;
