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
--   other_series         series of other contrasts
--   reported             conditions that the report says are present
--   claimed              conditions that the agents say are present
--   new_since_last       claimed conditions that were not claimed of the study before; null for the first
--   gone_since_last      conditions that were claimed of the study before and are absent now; null for the first
--   like_the_last        cosine of this study's T2 vector with that of the study before; null where either is missing
WITH reported AS (
    SELECT study_key, LIST(condition ORDER BY condition) AS conditions
    FROM labels.consensus
    WHERE label = 1
    GROUP BY study_key
),
claimed AS (
    SELECT
        study_key,
        LIST(condition ORDER BY condition) FILTER (WHERE status = 'present') AS present,
        LIST(condition ORDER BY condition) FILTER (WHERE status = 'absent') AS absent
    FROM agents.claims
    GROUP BY study_key
),
vectors AS (
    SELECT study_key, model_version, vector
    FROM embeddings.studies
    WHERE route = 't2'
),
rows_in_order AS (
    SELECT
        studies.patient_key,
        studies.study_key,
        studies.study_date,
        studies.age_years,
        ROW_NUMBER() OVER patient AS study_number,
        TRY_CAST(studies.study_date AS DATE) - MIN(TRY_CAST(studies.study_date AS DATE)) OVER (
            PARTITION BY studies.patient_key
        ) AS days_since_first,
        COALESCE(claimed.present, []) AS present,
        COALESCE(claimed.absent, []) AS absent,
        LAG(COALESCE(claimed.present, [])) OVER patient AS present_before,
        vectors.vector,
        vectors.model_version,
        LAG(vectors.vector) OVER patient AS vector_before,
        LAG(vectors.model_version) OVER patient AS version_before
    FROM deid.studies AS studies
    LEFT JOIN claimed ON claimed.study_key = studies.study_key
    LEFT JOIN vectors ON vectors.study_key = studies.study_key
    WINDOW patient AS (PARTITION BY studies.patient_key ORDER BY studies.study_date, studies.study_key)
)
SELECT
    timeline.patient_key,
    timeline.study_number,
    timeline.study_key,
    timeline.study_date,
    timeline.days_since_first,
    timeline.age_years,
    regions.region,
    COALESCE(regions.n_t1_series, 0) AS t1_series,
    COALESCE(regions.n_t2_series, 0) AS t2_series,
    COALESCE(regions.n_other_series, 0) AS other_series,
    reported.conditions AS reported,
    timeline.present AS claimed,
    CASE
        WHEN timeline.study_number > 1
            THEN LIST_FILTER(timeline.present, LAMBDA c: NOT LIST_CONTAINS(timeline.present_before, c))
    END AS new_since_last,
    LIST_FILTER(timeline.present_before, LAMBDA c: LIST_CONTAINS(timeline.absent, c)) AS gone_since_last,
    CASE
        WHEN timeline.model_version = timeline.version_before
            THEN LIST_COSINE_SIMILARITY(timeline.vector, timeline.vector_before)
    END AS like_the_last
FROM rows_in_order AS timeline
LEFT JOIN sequences.studies AS regions ON regions.study_key = timeline.study_key
LEFT JOIN reported ON reported.study_key = timeline.study_key
ORDER BY timeline.patient_key, timeline.study_number;
