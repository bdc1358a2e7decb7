-- How true are the saliency maps, against random orders and the centre of the slice?
-- columns:
--   condition        key of the condition; all takes the slices of all conditions together
--   measure          deletion and insertion curves, and the overlap with annotated boxes
--   method           of the saliency map
--   n                judged slices of test patients
--   n_patients       their patients
--   value            mean over slices; of deletion less is better
--   low              lower end of the 95 % bootstrap interval over patients
--   high             upper end
--   chance           the same measure of random orders
--   centre           the same measure of the order by distance to the centre
--   over_chance      better than chance by, paired
--   over_chance_low  lower end of its interval; above 0 the method is better than chance
--   over_centre_low  lower end of the interval of the difference to the centre
--   reason           why there is no number or no interval; null otherwise
SELECT
    scores.condition,
    scores.measure,
    scores.method,
    scores.n,
    scores.n_patients,
    scores.value,
    scores.low,
    scores.high,
    scores.chance,
    scores.centre,
    scores.over_chance,
    scores.over_chance_low,
    scores.over_centre_low,
    scores.reason
FROM attribution.scores AS scores
LEFT JOIN labels.conditions AS conditions ON conditions.condition = scores.condition
-- All conditions together first.
ORDER BY conditions.position NULLS FIRST, scores.measure, scores.over_chance DESC NULLS LAST, scores.method;
