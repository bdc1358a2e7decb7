-- Did any test patient reach something that is trained? Every number in test_patients must be 0.
-- columns:
--   stage           stage that trains, or serves prompts
--   training_set    what it is trained on
--   patients        patients in it
--   test_patients   patients in it whose split is test, in any ledger; must be 0
WITH test AS (
    SELECT patient_key FROM shards.splits WHERE split = 'test'
    UNION
    SELECT patient_key FROM shards.patients WHERE split = 'test'
),
trained AS (
    SELECT 'shards' AS stage, 'tars of route ' || route AS training_set, patient_key
    FROM shards.training
    UNION
    SELECT 'backbone', training || ' of route ' || route, patient_key
    FROM (FROM backbone.patients UNION ALL FROM backbone.gram_patients)
    WHERE role = 'train'
    UNION
    SELECT 'clip', training, patient_key
    FROM clip.patients
    WHERE role = 'train'
    UNION
    SELECT 'synthesizer', training, patient_key
    FROM (FROM synthesizer.patients UNION ALL FROM synthesizer.align_patients)
    WHERE role = 'train'
    UNION
    SELECT 'probes', 'folds of ' || encoder, patient_key
    FROM probes.predictions
    WHERE evaluation IN ('cv', 'seen')
    UNION
    SELECT 'retrieval', 'reports that may serve a prompt', neighbour_patient_key
    FROM retrieval.neighbours
    UNION
    SELECT 'instructions', 'items of a report model', patient_key
    FROM instructions.items
)
SELECT
    trained.stage,
    trained.training_set,
    COUNT(*) AS patients,
    COUNT(test.patient_key) AS test_patients
FROM trained
LEFT JOIN test ON test.patient_key = trained.patient_key
GROUP BY trained.stage, trained.training_set
ORDER BY trained.stage, trained.training_set;
