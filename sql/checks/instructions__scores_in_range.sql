-- Scores, shares and intervals lie between 0 and 1, and an interval around its score.
-- table: instructions.benchmark_scores
-- severity: error
SELECT dimension, answerer, measure, score, low, high
FROM instructions.benchmark_scores
WHERE
    NOT COALESCE(score BETWEEN 0 AND 1, TRUE)
    OR NOT COALESCE(answered BETWEEN 0 AND 1, FALSE)
    OR NOT COALESCE(low BETWEEN 0 AND 1 AND high BETWEEN 0 AND 1 AND low <= score AND score <= high, TRUE)
    OR (measure = 'accuracy') <> (chance IS NOT NULL)
    OR n < n_patients
ORDER BY dimension, answerer;
