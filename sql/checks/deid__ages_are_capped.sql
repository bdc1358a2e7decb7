-- No age over 90 is released: 90 stands for 90 and over.
-- table: deid.studies
-- severity: error
SELECT batch_key, 'studies' AS thing, COUNT(*) AS ages_out_of_range
FROM deid.studies
WHERE age_years NOT BETWEEN 0 AND 90
GROUP BY batch_key
UNION ALL
SELECT batch_key, 'ehr_encounters', COUNT(*)
FROM deid.ehr_encounters
WHERE age_at_visit NOT BETWEEN 0 AND 90
GROUP BY batch_key
ORDER BY batch_key, thing;
