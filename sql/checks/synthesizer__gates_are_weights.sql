-- The two weights of a layer are shares that sum to 1, for every series that the gates were exported of.
-- table: synthesizer.gates
-- severity: error
SELECT series_key, layer, weight_t1, weight_t2
FROM synthesizer.gates
WHERE NOT COALESCE(
    weight_t1 BETWEEN 0 AND 1 AND weight_t2 BETWEEN 0 AND 1 AND ABS(weight_t1 + weight_t2 - 1) < 1e-6, FALSE
)
ORDER BY series_key, layer;
