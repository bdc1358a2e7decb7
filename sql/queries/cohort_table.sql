-- Who was scanned, and on what? Table 1 of a paper: by cohort, region and split, by cohort, and for all.
-- columns:
--   cohort                name under which the inbox was registered; all
--   region                that of most slices of the study; all
--   split                 the patient's: train, val, test, unassigned before the shards; all
--   patients              patients with such a study; one with studies of two regions counts in both
--   studies               studies
--   series                classified series
--   slices                slices of these series
--   age_mean_years        age at the first study, mean over patients; 90 stands for 90 and over
--   age_sd_years          the same, standard deviation
--   female                patients of sex F
--   male                  patients of sex M
--   other_sex             patients of another, an unknown or a contradictory sex
--   vendors               studies by scanner vendor
--   field_strengths       studies by field strength in tesla
WITH described AS (
    SELECT
        studies.cohort,
        COALESCE(regions.region, 'unknown') AS region,
        COALESCE(splits.split, 'unassigned') AS split,
        studies.patient_key,
        studies.study_key,
        studies.age_years,
        studies.sex
    FROM deid.studies AS studies
    LEFT JOIN sequences.studies AS regions ON regions.study_key = studies.study_key
    LEFT JOIN (SELECT DISTINCT patient_key, split FROM shards.splits) AS splits
        ON splits.patient_key = studies.patient_key
),
grouped AS (
    SELECT
        CASE WHEN by_cohort THEN cohort ELSE 'all' END AS cohort,
        CASE WHEN by_region THEN region ELSE 'all' END AS region,
        CASE WHEN by_region THEN split ELSE 'all' END AS split,
        patient_key,
        study_key,
        age_years,
        sex
    FROM described
    CROSS JOIN (VALUES (TRUE, TRUE), (TRUE, FALSE), (FALSE, FALSE)) AS levels (by_cohort, by_region)
),
patients AS (
    SELECT
        cohort,
        region,
        split,
        patient_key,
        COUNT(*) AS studies,
        MIN(age_years) AS age_years,
        CASE WHEN COUNT(DISTINCT sex) = 1 THEN MIN(sex) END AS sex
    FROM grouped
    GROUP BY cohort, region, split, patient_key
),
people AS (
    SELECT
        cohort,
        region,
        split,
        COUNT(*) AS patients,
        SUM(studies)::BIGINT AS studies,
        AVG(age_years) AS age_mean_years,
        STDDEV_SAMP(age_years) AS age_sd_years,
        COUNT(*) FILTER (WHERE sex = 'F') AS female,
        COUNT(*) FILTER (WHERE sex = 'M') AS male,
        COUNT(*) FILTER (WHERE sex IS NULL OR sex NOT IN ('F', 'M')) AS other_sex
    FROM patients
    GROUP BY cohort, region, split
),
scans AS (
    SELECT
        grouped.cohort,
        grouped.region,
        grouped.split,
        grouped.study_key,
        series.series_key,
        series.n_slices,
        series.vendor,
        series.field_strength_t
    FROM grouped
    INNER JOIN sequences.series AS series ON series.study_key = grouped.study_key
),
volumes AS (
    SELECT cohort, region, split, COUNT(*) AS series, SUM(n_slices)::BIGINT AS slices
    FROM scans
    GROUP BY cohort, region, split
),
vendors AS (
    SELECT cohort, region, split, STRING_AGG(vendor || ' ' || studies, ', ' ORDER BY studies DESC, vendor) AS vendors
    FROM (
        SELECT cohort, region, split, COALESCE(vendor, 'unknown') AS vendor, COUNT(DISTINCT study_key) AS studies
        FROM scans
        GROUP BY ALL
    )
    GROUP BY cohort, region, split
),
fields AS (
    SELECT
        cohort,
        region,
        split,
        STRING_AGG(field || ' ' || studies, ', ' ORDER BY studies DESC, field) AS field_strengths
    FROM (
        SELECT
            cohort,
            region,
            split,
            -- Headers write 1.494 or 1.5 for the same magnet.
            COALESCE(FORMAT('{:.1f} T', field_strength_t), 'unknown') AS field,
            COUNT(DISTINCT study_key) AS studies
        FROM scans
        GROUP BY ALL
    )
    GROUP BY cohort, region, split
)
SELECT
    cohort,
    region,
    split,
    people.patients,
    people.studies,
    COALESCE(volumes.series, 0) AS series,
    COALESCE(volumes.slices, 0) AS slices,
    people.age_mean_years,
    people.age_sd_years,
    people.female,
    people.male,
    people.other_sex,
    vendors.vendors,
    fields.field_strengths
FROM people
LEFT JOIN volumes USING (cohort, region, split)
LEFT JOIN vendors USING (cohort, region, split)
LEFT JOIN fields USING (cohort, region, split)
ORDER BY cohort = 'all', cohort, region = 'all', region, split;
