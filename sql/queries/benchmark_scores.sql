-- How well is the held-out benchmark answered: the agents, what is frequent in training, and the report model?
-- columns:
--   dimension  condition, level, side, severity, next_sequence, all; of reports "report: SECTION" and "report: all"
--   answerer   agents, prior, report_model (with what the agents say), report_model_image_only
--   measure    accuracy of choices, or f1 of what reports say; null where there is no score
--   n          questions, or reports
--   patients   how many patients they are of
--   answered   share with an answer; what is not answered is not right
--   score      of the measure
--   low        lower end of its 95 % interval over patients
--   high       upper end
--   chance     accuracy of guessing; null for reports
--   beyond_chance  whether the whole interval lies above chance
--   reason     why an answerer has no score, or the commonest reason for which it did not answer
WITH scores AS (
    SELECT * FROM instructions.benchmark_scores
    UNION ALL
    SELECT * FROM llava.benchmark_scores
),
silent AS (
    SELECT
        answerer,
        COALESCE(dimension, 'all') AS dimension,
        COUNT(*) AS n,
        COUNT(DISTINCT patient_key) AS patients,
        AVG(CAST(chosen IS NOT NULL AS INTEGER)) AS answered,
        MODE(reason) FILTER (WHERE reason IS NOT NULL) AS reason
    FROM llava.benchmark_answers
    GROUP BY GROUPING SETS ((answerer, dimension), (answerer))
)
SELECT
    dimension,
    answerer,
    scores.measure,
    COALESCE(scores.n, silent.n) AS n,
    COALESCE(scores.n_patients, silent.patients) AS patients,
    COALESCE(scores.answered, silent.answered) AS answered,
    scores.score,
    scores.low,
    scores.high,
    scores.chance,
    scores.low > scores.chance AS beyond_chance,
    silent.reason
FROM scores
FULL JOIN silent USING (answerer, dimension)
-- Choices first, what is summed up after its parts.
ORDER BY
    starts_with(dimension, 'report'),
    dimension IN ('all', 'report: all'),
    dimension,
    LIST_POSITION(['agents', 'prior', 'report_model', 'report_model_image_only'], answerer);
