-- A knock-out starts from a probability and ends in one, or says why there is none.
-- table: attribution.knockouts
-- severity: error
SELECT study_key, condition, unit, key, probability_before, probability_after, reason
FROM attribution.knockouts
WHERE probability_before IS NULL
   OR NOT probability_before BETWEEN 0 AND 1
   OR NOT COALESCE(probability_after, 0) BETWEEN 0 AND 1
   OR (probability_after IS NULL) <> (reason IS NOT NULL)
   OR (probability_after IS NULL) <> (sequence_set_after IS NULL)
ORDER BY study_key, condition, unit, key;
