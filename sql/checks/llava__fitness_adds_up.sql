-- No more claims are said than were given, and the conditions sum up to the row of all.
-- table: llava.fitness
-- severity: error
WITH sums AS (
    SELECT SUM(n_claims) AS n_claims, SUM(n_said) AS n_said, SUM(n_added) AS n_added
    FROM llava.fitness
    WHERE condition IS NOT NULL
)
SELECT fitness.condition, fitness.n_claims, fitness.n_said, fitness.n_added
FROM llava.fitness AS fitness
CROSS JOIN sums
WHERE
    NOT COALESCE(fitness.n_said BETWEEN 0 AND fitness.n_claims AND fitness.n_added >= 0, FALSE)
    OR (
        fitness.condition IS NULL
        AND (
            fitness.n_claims <> COALESCE(sums.n_claims, 0)
            OR fitness.n_said <> COALESCE(sums.n_said, 0)
            OR fitness.n_added <> COALESCE(sums.n_added, 0)
        )
    )
ORDER BY fitness.condition;
