-- The report model's scores lie in their intervals, and its accuracy is that of its answers.
-- table: llava.benchmark_scores
-- severity: error
WITH answered AS (
    SELECT answers.answerer, answers.dimension, answers.model_version, answers.chosen = benchmark.correct AS is_right
    FROM llava.benchmark_answers AS answers
    JOIN instructions.benchmark AS benchmark USING (item_key)
    WHERE answers.model_version IS NOT NULL
),
counted AS (
    SELECT
        answerer,
        COALESCE(dimension, 'all') AS dimension,
        COUNT(*) AS n,
        AVG(CAST(COALESCE(is_right, FALSE) AS INTEGER)) AS score
    FROM answered
    GROUP BY GROUPING SETS ((answerer, dimension), (answerer))
)
SELECT dimension, answerer, scores.measure, scores.n, scores.score, counted.score AS share_of_answers
FROM llava.benchmark_scores AS scores
FULL JOIN counted USING (answerer, dimension)
WHERE
    (
        (scores.measure IS NULL OR scores.measure = 'accuracy')
        AND NOT COALESCE(scores.n = counted.n AND ABS(scores.score - counted.score) < 1e-9, FALSE)
    )
    OR NOT COALESCE(scores.score BETWEEN 0 AND 1, TRUE)
    OR NOT COALESCE(scores.answered BETWEEN 0 AND 1, TRUE)
    OR NOT COALESCE(
        scores.low BETWEEN 0 AND 1
        AND scores.high BETWEEN 0 AND 1
        AND scores.low <= scores.score
        AND scores.score <= scores.high,
        TRUE
    )
    OR (scores.measure = 'accuracy') <> (scores.chance IS NOT NULL)
ORDER BY dimension, answerer;
