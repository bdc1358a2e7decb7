-- A route records each step once, counted from 0 or more: a resumed run never writes a step again.
-- table: backbone.curves
-- severity: error
SELECT route, step, COUNT(*) AS records
FROM backbone.curves
GROUP BY route, step
HAVING COUNT(*) <> 1 OR NOT COALESCE(step >= 0, FALSE)
ORDER BY route, step;
