-- Every choice of the benchmark has one answer of either answerer: an option that it has, the likeliest, or a reason.
-- table: llava.benchmark_answers
-- severity: error
WITH expected AS (
    SELECT benchmark.item_key, benchmark.study_key, answerers.answerer, LEN(benchmark.options) AS options
    FROM instructions.benchmark AS benchmark
    CROSS JOIN (SELECT UNNEST(['report_model', 'report_model_image_only']) AS answerer) AS answerers
    -- A benchmark that waits for the report model is not yet wrong.
    WHERE benchmark.kind = 'choice' AND EXISTS (SELECT 1 FROM llava.benchmark_answers)
),
found AS (
    SELECT
        item_key,
        answerer,
        COUNT(*) AS n,
        ANY_VALUE(study_key) AS study_key,
        ANY_VALUE(chosen) AS chosen,
        ANY_VALUE(nats) AS nats,
        ANY_VALUE(reason) AS reason
    FROM llava.benchmark_answers
    GROUP BY item_key, answerer
)
SELECT item_key, answerer, COALESCE(found.n, 0) AS answers, found.chosen, found.reason
FROM expected
FULL JOIN found USING (item_key, answerer)
WHERE
    expected.item_key IS NULL
    OR COALESCE(found.n, 0) <> 1
    OR found.study_key <> expected.study_key
    OR (found.chosen IS NULL) <> (found.reason IS NOT NULL)
    OR (found.chosen IS NULL) <> (found.nats IS NULL)
    OR (
        found.chosen IS NOT NULL
        AND NOT COALESCE(
            found.chosen BETWEEN 0 AND expected.options - 1
            AND LEN(found.nats) = expected.options
            AND found.nats[found.chosen + 1] = LIST_MIN(found.nats),
            FALSE
        )
    )
ORDER BY item_key, answerer;
