-- What left the restricted zone: pseudonymous tables, one audit record per released instance.

CREATE SCHEMA deid;

-- One row per inbox file: the file ledger.
-- stored: copy
CREATE TABLE deid.files (
    batch_key VARCHAR, -- study batch of the file
    cohort VARCHAR, -- name under which the inbox was registered
    file_key VARCHAR, -- keyed digest of inbox, path and content
    kind VARCHAR, -- dicom, report, ehr, annotation, other
    outcome VARCHAR, -- released, duplicate, rejected, quarantined
    reason VARCHAR -- reason code; null when released
);

-- One row per released MR instance with its acquisition facts.
-- stored: view
CREATE TABLE deid.instances (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    series_key VARCHAR,
    instance_key VARCHAR, -- hex of the integer in the released SOP instance UID
    sop_class VARCHAR, -- MR, Enhanced MR
    series_description VARCHAR, -- rebuilt from the controlled vocabulary
    protocol_name VARCHAR, -- rebuilt from the controlled vocabulary
    pixel_sha256 VARCHAR,
    dicom_path VARCHAR, -- relative to the DICOM folder of the batch
    series_number INTEGER,
    instance_number INTEGER,
    frames INTEGER,
    rows INTEGER,
    columns INTEGER,
    bits_stored INTEGER,
    photometric VARCHAR,
    vendor VARCHAR, -- Siemens, Philips, GE, Canon, Hitachi, Hyperfine, other; null when absent
    scanner_model VARCHAR,
    field_strength_t DOUBLE,
    coil VARCHAR,
    body_part VARCHAR,
    tr_ms DOUBLE, -- repetition time
    te_ms DOUBLE, -- echo time
    ti_ms DOUBLE, -- inversion time
    flip_deg DOUBLE, -- flip angle
    echo_train_length INTEGER,
    b_value DOUBLE, -- s/mm2
    scanning_sequence VARCHAR, -- several values are joined by a backslash
    sequence_variant VARCHAR,
    scan_options VARCHAR,
    sequence_name VARCHAR,
    image_type VARCHAR,
    acquisition_type VARCHAR, -- 2D, 3D
    has_contrast_agent BOOLEAN,
    iop DOUBLE[], -- six direction cosines, patient LPS
    ipp_mm DOUBLE[], -- x, y, z of the first voxel's centre, patient LPS
    pixel_spacing_mm DOUBLE[], -- between rows, between columns
    slice_thickness_mm DOUBLE,
    spacing_between_mm DOUBLE,
    mosaic_tiles INTEGER, -- slices on the sheet of a mosaic; null for every other image
    mosaic_order TINYINT -- 1 when tiles follow the normal of iop, -1 when against it; null when not said
);

-- One row per released study.
-- stored: copy
CREATE TABLE deid.studies (
    batch_key VARCHAR,
    cohort VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    study_date VARCHAR, -- ISO date, shifted; the year alone where the profile says so
    age_years INTEGER, -- 90 stands for 90 and over
    sex VARCHAR,
    n_series INTEGER,
    n_instances INTEGER,
    has_report BOOLEAN
);

-- De-identified report texts.
-- stored: view
CREATE TABLE deid.reports (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    report_key VARCHAR,
    report_text VARCHAR
);

-- One row per patient of the EHR export.
-- stored: view
CREATE TABLE deid.ehr_patients (
    batch_key VARCHAR,
    patient_key VARCHAR,
    sex VARCHAR,
    zip3 VARCHAR,
    height_cm DOUBLE,
    weight_kg DOUBLE
);

-- One row per encounter of the EHR export.
-- stored: view
CREATE TABLE deid.ehr_encounters (
    batch_key VARCHAR,
    patient_key VARCHAR,
    encounter_key VARCHAR,
    admit_date VARCHAR, -- shifted by the patient's days
    discharge_dttm VARCHAR, -- shifted by the patient's days
    icd10 VARCHAR,
    age_at_visit INTEGER, -- 90 stands for 90 and over
    note VARCHAR
);

-- One row per imaging order of the EHR export.
-- stored: view
CREATE TABLE deid.ehr_orders (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR, -- null where the ordered study is not in the archive
    order_key VARCHAR,
    order_date VARCHAR, -- shifted by the patient's days
    exam VARCHAR,
    reason VARCHAR
);

-- Of released studies: labels, points and described series of a third-party cohort in the RSNA layout, and the boxes
-- that a reader drew.
-- stored: view
CREATE TABLE deid.annotations (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    series_key VARCHAR, -- null for labels
    instance_key VARCHAR, -- null but for points and boxes
    kind VARCHAR, -- label, point, series, box
    condition VARCHAR, -- canal, neuroforaminal, subarticular; of boxes any condition; null for series
    side VARCHAR, -- left, right; null for canal; of boxes any side or null
    level VARCHAR, -- L1-L2 to L5-S1; of boxes any disc, vertebra or null
    severity VARCHAR, -- normal_mild, moderate, severe, of boxes mild, moderate, severe; null for an empty cell
    grade TINYINT, -- 0, 1, 2, as severity; null for boxes
    frame INTEGER, -- of boxes, 0-based, as in shards.slices; null for other kinds
    x DOUBLE, -- pixels from the left, of points; of boxes the left edge, pixel 0 spans 0 to 1
    y DOUBLE, -- pixels from the top, of points; of boxes the top edge
    w DOUBLE, -- pixels of the source frame, of boxes
    h DOUBLE, -- pixels of the source frame, of boxes
    description VARCHAR -- of series: sagittal_t1, sagittal_t2_stir, axial_t2
);

-- One record per released instance: how many elements each action touched, and which engine, table and key did it.
-- stored: view
CREATE TABLE deid.audit (
    batch_key VARCHAR,
    patient_key VARCHAR,
    instance_key VARCHAR,
    removed INTEGER,
    emptied INTEGER,
    replaced INTEGER,
    uids_mapped INTEGER,
    dates_shifted INTEGER,
    cleaned INTEGER,
    kept INTEGER,
    source_sha256_keyed VARCHAR, -- keyed digest of the source file's hash: proves, does not reveal
    released_sha256 VARCHAR,
    engine VARCHAR,
    table_id VARCHAR, -- version of the confidentiality profile
    key_id VARCHAR, -- public fingerprint of the key
    hipaa_basis VARCHAR
);

-- One row per released patient: dates and intervals held against the restricted zone, and how many are wrong.
-- stored: view
CREATE TABLE deid.date_integrity (
    batch_key VARCHAR,
    patient_key VARCHAR,
    n_studies INTEGER, -- study dates
    n_encounters INTEGER, -- dates of encounters: admission and discharge
    n_orders INTEGER, -- order dates
    n_report_dates INTEGER, -- dates inside report texts
    n_intervals INTEGER, -- between consecutive dates of studies, encounters and orders
    wrong_intervals INTEGER, -- must be 0
    wrong_dates INTEGER, -- not the source's day plus the patient's shift; must be 0
    beyond_bound INTEGER, -- farther from the source's day than any shift, or not moved; must be 0
    report_dates_unproved INTEGER -- the source report does not spell the day in a form that was looked for
);

-- One row per patient: what the studies of all batches say together.
CREATE VIEW deid.patients AS
SELECT
    patient_key,
    MIN(cohort) AS cohort,
    -- Headers of one patient may disagree; then no value is better than a chosen one.
    CASE WHEN COUNT(DISTINCT sex) = 1 THEN MIN(sex) END AS sex,
    MIN(age_years) AS age_at_first_study_years,
    COUNT(*) AS n_studies,
    SUM(n_instances)::BIGINT AS n_instances,
    COUNT(*) FILTER (WHERE has_report) AS n_reported_studies,
    MIN(study_date) AS first_study_date,
    MAX(study_date) AS last_study_date
FROM deid.studies
GROUP BY patient_key;
