-- The vectors of a baseline and route come from one set of weights, or from one fit.
-- table: probes.baselines
-- severity: error
SELECT encoder, route, COUNT(DISTINCT model_version) AS versions, COUNT(model_version) AS named, COUNT(*) AS vectors
FROM probes.baselines
GROUP BY encoder, route
HAVING COUNT(DISTINCT model_version) > 1 OR COUNT(model_version) < COUNT(*)
ORDER BY encoder, route;
