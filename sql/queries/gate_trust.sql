-- Which encoder do the gates trust, for each contrast and layer?
-- columns:
--   contrast          of the series; null when the classifier abstained
--   layer             from 0, the input on
--   n_series          series that the gates were exported of
--   weight_t1         mean share of the T1 encoder
--   weight_t1_spread  standard deviation over series; 0 where the gates do not look at the input
SELECT contrast, layer, n_series, weight_t1, weight_t1_spread
FROM synthesizer.trust
ORDER BY contrast, layer;
