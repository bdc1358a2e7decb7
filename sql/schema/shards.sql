-- Slices as the encoders see them, the split of every patient, and what a training run may open.

CREATE SCHEMA shards;

-- One row per preprocessed slice: identity, geometry and how its pixels were made.
-- stored: view
CREATE TABLE shards.slices (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    series_key VARCHAR,
    instance_key VARCHAR,
    frame INTEGER, -- 0-based
    slice_key VARCHAR, -- instance key, a hyphen, the frame in four digits
    slice_index INTEGER, -- order along the series normal
    contrast VARCHAR,
    route VARCHAR,
    plane VARCHAR,
    region VARCHAR,
    split VARCHAR, -- the patient's; outside for slices that are embedded but never trained on
    shard VARCHAR, -- tar, relative to the shard folder of the batch
    pixel_hash VARCHAR, -- sha256 of the preprocessed array
    preprocessing_version VARCHAR,
    window_low DOUBLE, -- source intensity that became 0
    window_high DOUBLE, -- source intensity that became 65535
    clipped_fraction DOUBLE,
    source_rows INTEGER,
    source_columns INTEGER,
    scale DOUBLE, -- output pixels per source pixel
    pad_top_px DOUBLE, -- in output pixels
    pad_left_px DOUBLE, -- in output pixels
    size_px INTEGER,
    iop DOUBLE[], -- six direction cosines, patient LPS
    ipp_mm DOUBLE[], -- x, y, z of the first voxel's centre, patient LPS
    pixel_spacing_mm DOUBLE[], -- between rows, between columns
    slice_thickness_mm DOUBLE
);

-- The split ledger as each batch wrote it.
-- stored: copy
CREATE TABLE shards.splits (
    batch_key VARCHAR,
    patient_key VARCHAR,
    split VARCHAR -- train, val, test
);

-- The frozen manifest: the tars that a training run may open.
-- stored: copy
CREATE TABLE shards.manifest (
    batch_key VARCHAR,
    route VARCHAR,
    split VARCHAR, -- train, val
    shard VARCHAR, -- tar, relative to the shard folder of the batch
    sha256 VARCHAR,
    n_slices INTEGER,
    n_patients INTEGER
);

-- The split ledger at the moment of the freeze.
-- stored: copy
CREATE TABLE shards.patients (
    patient_key VARCHAR,
    split VARCHAR,
    may_train BOOLEAN
);

-- One row per slice that lies in a tar of the manifest: what self-supervised training sees.
CREATE VIEW shards.training AS
SELECT
    slices.batch_key,
    slices.patient_key,
    slices.study_key,
    slices.slice_key,
    manifest.route,
    manifest.shard,
    manifest.split AS manifest_split,
    slices.split AS slice_split
FROM shards.manifest AS manifest
INNER JOIN shards.slices AS slices
    ON slices.batch_key = manifest.batch_key AND slices.shard = manifest.shard;
