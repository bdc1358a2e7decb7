-- Did all dates of each patient move together? Held against the source by a second reading; problems must be 0.
-- columns:
--   patient_key             patient
--   studies                 study dates
--   encounters              admission and discharge dates
--   orders                  order dates
--   report_dates            dates inside report texts
--   intervals               between consecutive dates of studies, encounters and orders
--   problems                wrong intervals, wrong dates and dates beyond the bound of the shift; must be 0
--   report_dates_unproved   report dates whose source spells the day in a form that was not looked for
SELECT
    patient_key,
    SUM(n_studies)::BIGINT AS studies,
    SUM(n_encounters)::BIGINT AS encounters,
    SUM(n_orders)::BIGINT AS orders,
    SUM(n_report_dates)::BIGINT AS report_dates,
    SUM(n_intervals)::BIGINT AS intervals,
    SUM(wrong_intervals + wrong_dates + beyond_bound)::BIGINT AS problems,
    SUM(report_dates_unproved)::BIGINT AS report_dates_unproved
FROM deid.date_integrity
GROUP BY patient_key
ORDER BY problems DESC, patient_key;
