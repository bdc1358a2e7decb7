-- A training of a route records each step once, counted from 0 or more: a resumed run never writes a step again.
-- table: backbone.curves
-- severity: error
SELECT training, route, step, COUNT(*) AS records
FROM backbone.trainings
GROUP BY training, route, step
HAVING COUNT(*) <> 1 OR NOT COALESCE(step >= 0, FALSE)
ORDER BY training, route, step;
