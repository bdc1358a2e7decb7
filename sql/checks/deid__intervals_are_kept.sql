-- Every date of a patient moved by the same days, within the bound, so that all intervals are true.
-- table: deid.date_integrity
-- severity: error
SELECT batch_key, patient_key, wrong_intervals, wrong_dates, beyond_bound
FROM deid.date_integrity
WHERE COALESCE(wrong_intervals, 1) > 0 OR COALESCE(wrong_dates, 1) > 0 OR COALESCE(beyond_bound, 1) > 0
ORDER BY batch_key, patient_key;
