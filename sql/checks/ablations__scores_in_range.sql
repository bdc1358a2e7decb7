-- A score lies in 0 .. 1 as its interval does, recall is of test patients alone, and no value stands with a reason.
-- table: ablations.scores
-- severity: error
SELECT question, variant, sequence_set, evaluation, measure, value, low, high, reason
FROM ablations.scores
WHERE
    NOT COALESCE(
        CASE
            WHEN value IS NULL THEN reason IS NOT NULL AND low IS NULL AND high IS NULL AND difference IS NULL
            ELSE value BETWEEN 0 AND 1 AND low BETWEEN 0 AND 1 AND high BETWEEN 0 AND 1 AND low <= high
        END
        AND (evaluation = 'test' OR NOT STARTS_WITH(measure, 'recall')),
        FALSE
    )
ORDER BY question, variant, sequence_set, evaluation, measure;
