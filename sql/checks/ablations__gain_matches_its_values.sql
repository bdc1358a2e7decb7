-- A difference and a relative gain are those of the reference's value and the variant's own; over a value of nothing
-- there is no gain.
-- table: ablations.scores
-- severity: error
SELECT variant.question, variant.variant, variant.sequence_set, variant.evaluation, variant.measure
FROM ablations.scores AS variant
LEFT JOIN ablations.scores AS reference
    ON
        reference.is_reference
        AND reference.question = variant.question
        AND reference.sequence_set = variant.sequence_set
        AND reference.evaluation = variant.evaluation
        AND reference.measure = variant.measure
WHERE
    NOT variant.is_reference
    AND variant.value IS NOT NULL
    AND NOT COALESCE(
        ABS(reference.value - variant.value - variant.difference) < 1e-9
        AND CASE
            WHEN variant.value > 0 THEN ABS(reference.value / variant.value - 1 - variant.relative_gain) < 1e-9
            ELSE variant.relative_gain IS NULL AND variant.reason IS NOT NULL
        END
        AND variant.n_studies = reference.n_studies
        AND variant.conditions IS NOT DISTINCT FROM reference.conditions,
        FALSE
    )
ORDER BY variant.question, variant.variant, variant.sequence_set, variant.evaluation, variant.measure;
