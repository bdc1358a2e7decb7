-- Every annotation names a released study; the series and the image that it names are released and belong to it.
-- table: deid.annotations
-- severity: error
WITH series AS (
    SELECT DISTINCT batch_key, patient_key, study_key, series_key
    FROM deid.instances
)
SELECT
    annotations.batch_key,
    annotations.study_key,
    annotations.kind,
    COUNT(*) AS annotations
FROM deid.annotations AS annotations
LEFT JOIN deid.studies AS studies
    ON studies.batch_key = annotations.batch_key
    AND studies.patient_key = annotations.patient_key
    AND studies.study_key = annotations.study_key
LEFT JOIN series
    ON series.batch_key = annotations.batch_key
    AND series.patient_key = annotations.patient_key
    AND series.study_key = annotations.study_key
    AND series.series_key = annotations.series_key
LEFT JOIN deid.instances AS instances
    ON instances.batch_key = annotations.batch_key
    AND instances.series_key = annotations.series_key
    AND instances.instance_key = annotations.instance_key
WHERE
    studies.study_key IS NULL
    OR NOT COALESCE(annotations.kind IN ('label', 'point', 'series', 'box'), FALSE)
    OR (annotations.kind <> 'label' AND series.series_key IS NULL)
    OR (annotations.kind IN ('point', 'box') AND instances.instance_key IS NULL)
    OR (annotations.kind = 'label' AND annotations.series_key IS NOT NULL)
GROUP BY annotations.batch_key, annotations.study_key, annotations.kind
ORDER BY annotations.batch_key, annotations.study_key, annotations.kind;
