-- Constant and contributions of all series are the logit of the study, and the logit is that of its probability.
-- table: attribution.weights
-- severity: error
WITH studies AS (
    SELECT
        study_key,
        condition,
        ANY_VALUE(constant) AS constant,
        ANY_VALUE(logit) AS logit,
        ANY_VALUE(probability) AS probability,
        SUM(contribution) AS contributions,
        SUM(share) AS shares
    FROM attribution.weights
    WHERE unit = 'series'
    GROUP BY study_key, condition
)
SELECT *
FROM studies
-- Vectors are means in single precision; in logits that is some millionths.
WHERE ABS(constant + contributions - logit) > 1e-4 * (1 + ABS(logit))
   OR ABS(1 / (1 + EXP(-logit)) - probability) > 1e-4
   OR ABS(shares - 1) > 1e-6 AND contributions <> 0
   OR ISNAN(contributions) OR contributions IS NULL
ORDER BY study_key, condition;
