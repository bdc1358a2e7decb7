-- No batch says of a condition what the other batches do not: a shift is another scanner, another clinic or an error.
-- table: labels.drift
-- severity: warn
SELECT batch_key, condition, present, studies, prevalence, other_prevalence, p_value
FROM labels.drift
WHERE drifted
ORDER BY p_value, batch_key, condition;
