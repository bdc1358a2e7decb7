-- An operating point rests on the out-of-fold predictions of all train patients and of nobody else, and adds up.
-- table: probes.operating_points
-- severity: error
WITH held AS (
    SELECT
        predictions.condition,
        predictions.sequence_set,
        predictions.evaluation,
        COUNT(DISTINCT predictions.study_key) AS n_studies
    FROM probes.predictions AS predictions
    WHERE
        predictions.encoder = 'spinefm'
        AND predictions.head = 'linear'
        AND predictions.label >= 0
        AND predictions.patient_key IN (SELECT patient_key FROM shards.splits WHERE split = 'train')
    GROUP BY predictions.condition, predictions.sequence_set, predictions.evaluation
)
SELECT
    points.condition,
    points.sequence_set,
    points.status,
    points.chosen_on,
    points.n_studies,
    held.n_studies AS held
FROM probes.operating_points AS points
LEFT JOIN held
    ON held.condition = points.condition
    AND held.sequence_set = points.sequence_set
    AND held.evaluation = points.chosen_on
WHERE
    NOT COALESCE(
        CASE points.status
            WHEN 'none' THEN points.threshold IS NULL AND points.reason <> ''
            WHEN 'chosen'
                THEN points.reason IS NULL
                AND points.chosen_on IN ('cv', 'seen')
                AND points.n_studies = held.n_studies
                AND points.threshold BETWEEN 0 AND 1
                AND ISFINITE(points.threshold)
                AND ABS(points.prevalence - points.n_positive / points.n_studies) < 1e-9
                AND points.flagged_share BETWEEN 0 AND 1
        END,
        FALSE
    )
ORDER BY points.condition, points.sequence_set;
