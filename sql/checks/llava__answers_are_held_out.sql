-- What is scored was written of studies whose patient is in val or test, once for each conditioning.
-- table: llava.answers
-- severity: error
SELECT answers.batch_key, answers.study_key, answers.conditioning, answers.split, splits.split AS split_of_patient
FROM llava.answers AS answers
LEFT JOIN shards.splits AS splits USING (batch_key, patient_key)
WHERE
    NOT COALESCE(splits.split = answers.split AND answers.split IN ('val', 'test'), FALSE)
    OR NOT COALESCE(answers.conditioning IN ('image_only', 'agents'), FALSE)
UNION ALL
SELECT batch_key, study_key, conditioning, 'repeated', NULL
FROM llava.answers
GROUP BY batch_key, study_key, conditioning
HAVING COUNT(*) > 1
ORDER BY batch_key, study_key, conditioning;
