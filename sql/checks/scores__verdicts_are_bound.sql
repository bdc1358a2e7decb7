-- A verdict is one that its side may have, supported findings have no error, and no answer is half kept.
-- table: scores.judged
-- severity: error
SELECT study_key, method, side_of, position, verdict, error, outcome
FROM scores.judged
WHERE
    (
        outcome = 'answered'
        AND NOT COALESCE(
            (
                (side_of = 'draft' AND verdict IN ('supported', 'contradicted', 'unsupported'))
                OR (side_of = 'reference' AND verdict IN ('supported', 'omitted'))
            )
            AND error IN ('none', 'minor', 'significant', 'critical')
            AND NOT (verdict = 'supported' AND error <> 'none'),
            FALSE
        )
    )
    OR (outcome IS DISTINCT FROM 'answered' AND verdict IS NOT NULL)
ORDER BY study_key, method, side_of, position;
