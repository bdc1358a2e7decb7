-- No patient is scored both out of fold and in the test set.
-- table: probes.predictions
-- severity: error
SELECT patient_key, LIST(DISTINCT evaluation ORDER BY evaluation) AS evaluations, COUNT(DISTINCT study_key) AS studies
FROM probes.predictions
GROUP BY patient_key
-- seen and cv are both out of fold, of different sequence sets.
HAVING COUNT(DISTINCT IF(evaluation = 'seen', 'cv', evaluation)) > 1
ORDER BY patient_key;
