-- What each series is: contrast family, encoder route, plane, body region; and which sources contradict each other.

CREATE SCHEMA sequences;

-- One row per released series.
-- stored: copy
CREATE TABLE sequences.series (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    series_key VARCHAR,
    contrast VARCHAR, -- null when the classifier abstained
    route VARCHAR, -- t1, t2, other; other when the classifier abstained
    plane VARCHAR,
    region VARCHAR,
    region_evidence VARCHAR, -- description, protocol, body_part, levels, study, annotations; null when unknown
    confidence DOUBLE, -- 0 to 1: the share of such answers that are right
    abstained BOOLEAN,
    decided_by VARCHAR, -- rules, header_model, header+pixels, nobody
    rule VARCHAR, -- the rule that concluded, whether or not it decided
    disagreement VARCHAR, -- which sources contradict each other, and how; null when none do
    rule_contrast VARCHAR,
    rule_confidence DOUBLE,
    header_contrast VARCHAR, -- of the header model
    header_confidence DOUBLE, -- calibrated on scanners left out
    pixel_contrast VARCHAR, -- null where the pixels were not asked
    pixel_confidence DOUBLE,
    contrast_agent BOOLEAN, -- null when neither names nor header speak of it
    dixon_part VARCHAR, -- in, opposed, water, fat
    b_values DOUBLE[], -- diffusion weightings in s/mm2, rising
    n_instances INTEGER,
    n_slices INTEGER,
    slice_spacing_mm DOUBLE,
    vendor VARCHAR,
    scanner_model VARCHAR,
    field_strength_t DOUBLE,
    tr_ms DOUBLE, -- repetition time
    te_ms DOUBLE, -- echo time
    ti_ms DOUBLE -- inversion time
);

-- One row per pair of sources that say different things of a series.
-- stored: copy
CREATE TABLE sequences.disagreements (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    series_key VARCHAR,
    about VARCHAR, -- contrast, contrast_agent
    source_a VARCHAR, -- text, rules, header_model
    says_a VARCHAR,
    confidence_a DOUBLE, -- null where the source gives none
    source_b VARCHAR, -- timing, header, header_model, pixels
    says_b VARCHAR,
    confidence_b DOUBLE,
    decision VARCHAR, -- the contrast decided on; null when abstained
    decided_by VARCHAR
);

-- The contrast families and the encoder route of each.
CREATE VIEW sequences.contrasts AS
SELECT contrast, route
FROM (
    VALUES
        ('T1', 't1'),
        ('T2', 't2'),
        ('T2-FS', 't2'),
        ('STIR', 't2'),
        ('Dixon-in', 't2'),
        ('Dixon-opposed', 't2'),
        ('Dixon-water', 't2'),
        ('Dixon-fat', 't2'),
        ('T1+C', 'other'),
        ('PD', 'other'),
        ('T2*', 'other'),
        ('DWI', 'other'),
        ('ADC', 'other'),
        ('MT', 'other'),
        ('localizer', 'other'),
        ('derived', 'other'),
        ('other', 'other')
) AS known (contrast, route);

-- One row per study: its region (that of most slices) and how many series go to each encoder.
CREATE VIEW sequences.studies AS
WITH regions AS (
    SELECT study_key, region, SUM(n_slices) AS slices
    FROM sequences.series
    -- A knee in a spine study, or a localizer of unknown region, does not name the study.
    WHERE region NOT IN ('other', 'unknown')
    GROUP BY study_key, region
),
chosen AS (
    SELECT study_key, region
    FROM regions
    QUALIFY ROW_NUMBER() OVER (
        PARTITION BY study_key
        -- A named part of the spine wins over a spine of unknown part; the name settles a tie.
        ORDER BY region = 'spine', slices DESC, region
    ) = 1
)
SELECT
    series.batch_key,
    series.patient_key,
    series.study_key,
    COALESCE(ANY_VALUE(chosen.region), MIN(series.region)) AS region,
    COUNT(*) AS n_series,
    COUNT(*) FILTER (WHERE series.route = 't1') AS n_t1_series,
    COUNT(*) FILTER (WHERE series.route = 't2') AS n_t2_series,
    COUNT(*) FILTER (WHERE series.route = 'other') AS n_other_series,
    COUNT(*) FILTER (WHERE series.abstained) AS n_abstained_series,
    SUM(series.n_slices)::BIGINT AS n_slices
FROM sequences.series AS series
LEFT JOIN chosen ON chosen.study_key = series.study_key
GROUP BY series.batch_key, series.patient_key, series.study_key;
