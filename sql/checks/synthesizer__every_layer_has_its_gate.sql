-- Each series has one gate a layer, from layer 0 on without a gap, and as many layers as every other series.
-- table: synthesizer.gates
-- severity: error
WITH per_series AS (
    SELECT
        series_key,
        COUNT(*) AS records,
        COUNT(DISTINCT layer) AS layers,
        MIN(layer) AS first_layer,
        MAX(layer) AS last_layer
    FROM synthesizer.gates
    GROUP BY series_key
)
SELECT series_key, records, layers, first_layer, last_layer
FROM per_series
WHERE records <> layers
   OR first_layer <> 0
   OR last_layer <> (SELECT MAX(layer) FROM synthesizer.gates)
   OR layers <> last_layer + 1
ORDER BY series_key;
