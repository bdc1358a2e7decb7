-- What happened to each patient, study by study? Dates are shifted by the patient's days; intervals are true.
-- columns:
--   patient_key          patient
--   study_number         1 for the first study
--   study_key            study
--   study_date           shifted date; a year alone gives no interval
--   days_since_first     days since the first study
--   age_years            90 stands for 90 and over
--   region               that of most slices
--   t1_series            series of route t1
--   t2_series            series of route t2
--   reported             conditions that the report says are present
--   claimed              conditions that the agents say are present
WITH reported AS (
    SELECT study_key, LIST(condition ORDER BY condition) AS conditions
    FROM labels.consensus
    WHERE label = 1
    GROUP BY study_key
),
claimed AS (
    SELECT study_key, LIST(condition ORDER BY condition) AS conditions
    FROM agents.claims
    WHERE status = 'present'
    GROUP BY study_key
)
SELECT
    studies.patient_key,
    ROW_NUMBER() OVER patient AS study_number,
    studies.study_key,
    studies.study_date,
    TRY_CAST(studies.study_date AS DATE) - MIN(TRY_CAST(studies.study_date AS DATE)) OVER (
        PARTITION BY studies.patient_key
    ) AS days_since_first,
    studies.age_years,
    regions.region,
    COALESCE(regions.n_t1_series, 0) AS t1_series,
    COALESCE(regions.n_t2_series, 0) AS t2_series,
    reported.conditions AS reported,
    claimed.conditions AS claimed
FROM deid.studies AS studies
LEFT JOIN sequences.studies AS regions ON regions.study_key = studies.study_key
LEFT JOIN reported ON reported.study_key = studies.study_key
LEFT JOIN claimed ON claimed.study_key = studies.study_key
WINDOW patient AS (PARTITION BY studies.patient_key ORDER BY studies.study_date, studies.study_key)
ORDER BY studies.patient_key, study_number;
