-- Abstention covers test patients of either class as often as promised, within what chance explains.
-- table: probes.conformal
-- severity: warn
WITH sides AS (
    SELECT
        condition,
        sequence_set,
        nominal,
        UNNEST(['positive', 'negative']) AS side,
        UNNEST([coverage_positive, coverage_negative]) AS coverage,
        UNNEST([n_positive, n_negative]) AS patients,
        UNNEST([n_calibration_positive, n_calibration_negative]) AS calibration_patients
    FROM probes.conformal
    WHERE status = 'evaluated'
),
bounds AS (
    SELECT
        *,
        -- 3.5 times the test patients' binomial spread with that of the threshold: there are many conditions and sets.
        nominal - 3.5 * SQRT(nominal * (1 - nominal) * (1 / patients + 1 / (calibration_patients + 2))) AS bound
    FROM sides
    WHERE patients > 0
)
SELECT *
FROM bounds
WHERE NOT COALESCE(coverage >= bound, FALSE)
ORDER BY condition, sequence_set, side;
