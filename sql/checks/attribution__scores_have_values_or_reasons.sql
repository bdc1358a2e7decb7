-- An evaluated score has a value in its range inside its interval; one that is not says why.
-- table: attribution.scores
-- severity: error
SELECT *
FROM attribution.scores
WHERE (status = 'evaluated') <> (value IS NOT NULL)
   OR status = 'not_evaluable' AND reason IS NULL
   OR ISNAN(value)
   OR value < 0
   OR measure <> 'mass_lift' AND value > 1
   OR value IS NOT NULL AND (n < 1 OR n_patients < 1 OR chance IS NULL OR centre IS NULL)
   OR low > high
   OR low IS NULL AND value IS NOT NULL AND reason IS NULL
ORDER BY condition, method, measure;
