-- Scores count no more patients than there are annotated patients of the test split.
-- table: localization.scores
-- severity: error
SELECT scores.condition, scores.supervision, scores.method, scores.n_patients
FROM localization.scores AS scores
WHERE
    scores.n_patients > (
        SELECT COUNT(DISTINCT annotations.patient_key)
        FROM deid.annotations AS annotations
        INNER JOIN shards.splits AS splits
            ON splits.patient_key = annotations.patient_key AND splits.split = 'test'
        WHERE annotations.kind <> 'label' AND annotations.condition = scores.condition
    )
ORDER BY scores.condition, scores.supervision, scores.method;
