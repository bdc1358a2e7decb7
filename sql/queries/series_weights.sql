-- Which series speaks for a condition in a study, and what does the probability become without it?
-- columns:
--   study_key            pseudonym of the study
--   condition            key of the condition
--   probability          of the study, as the agents see it
--   rank                 1 weighs most
--   contrast             of the series; null when the classifier abstained
--   plane                of the series
--   series_key           pseudonym of the series
--   n_slices             of the series
--   contribution         to the calibrated logit, against the average study; above 0 it speaks for the condition
--   share                of the absolute contributions of all series
--   heaviest_slice       slice of the series that contributes most; null where no slices are kept
--   probability_without  when the series is left out; null where nothing judges what is left
SELECT
    weights.study_key,
    weights.condition,
    weights.probability,
    weights.rank,
    weights.contrast,
    weights.plane,
    weights.series_key,
    weights.n_slices,
    weights.contribution,
    weights.share,
    slices.slice_key AS heaviest_slice,
    knockouts.probability_after AS probability_without
FROM attribution.weights AS weights
LEFT JOIN attribution.weights AS slices
    ON slices.study_key = weights.study_key
    AND slices.condition = weights.condition
    AND slices.series_key = weights.series_key
    AND slices.unit = 'slice'
    AND slices.rank = 1
LEFT JOIN attribution.knockouts AS knockouts
    ON knockouts.study_key = weights.study_key
    AND knockouts.condition = weights.condition
    AND knockouts.unit = 'series'
    AND knockouts.key = weights.series_key
LEFT JOIN labels.conditions AS conditions ON conditions.condition = weights.condition
WHERE weights.unit = 'series'
ORDER BY weights.study_key, conditions.position, weights.rank, weights.series_key;
