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
    format INTEGER, -- number of the member's format; 1 was clipped to the window for ever
    member_bytes INTEGER, -- compressed size of the pixels
    pixel_hash VARCHAR, -- sha256 of the preprocessed array as an encoder sees it
    stored_hash VARCHAR, -- sha256 of the stored array, before the window
    preprocessing_version VARCHAR,
    intensity_origin DOUBLE, -- source intensity of stored 0
    intensity_step DOUBLE, -- source intensity of one stored step
    window_low DOUBLE, -- source intensity shown as 0
    window_high DOUBLE, -- source intensity shown as 65535
    clipped_fraction DOUBLE, -- source pixels that the window hides; the shard keeps them
    source_rows INTEGER,
    source_columns INTEGER,
    scale DOUBLE, -- output pixels per source pixel
    pad_top_px DOUBLE, -- in output pixels
    pad_left_px DOUBLE, -- in output pixels
    size_px INTEGER,
    iop DOUBLE[], -- six direction cosines, patient LPS
    ipp_mm DOUBLE[], -- x, y, z of the first voxel's centre, patient LPS
    pixel_spacing_mm DOUBLE[], -- between rows, between columns
    slice_thickness_mm DOUBLE,
    output_spacing_mm DOUBLE, -- of the preprocessed grid, isotropic
    output_ipp_mm DOUBLE[] -- x, y, z of the preprocessed grid's first pixel, patient LPS
);

-- Instances that are in no shard, by series and reason.
-- stored: copy
CREATE TABLE shards.skipped (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    series_key VARCHAR,
    reason VARCHAR,
    n INTEGER -- instances of the series that are in no shard for this reason
);

-- One row per series with a readable frame: what its pixels and its geometry are worth.
-- stored: copy
CREATE TABLE shards.quality (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    series_key VARCHAR,
    contrast VARCHAR,
    route VARCHAR,
    plane VARCHAR,
    region VARCHAR,
    split VARCHAR,
    n_slices INTEGER, -- readable frames
    n_scored INTEGER, -- slices that noise and motion were measured on
    geometry VARCHAR, -- single, regular, irregular, mixed_orientation, unknown
    slice_spacing_mm DOUBLE, -- median distance of slice centres
    slice_gap_mm DOUBLE, -- spacing less thickness; negative where slices overlap
    spacing_deviation DOUBLE, -- largest relative departure from the median spacing
    missing_slices INTEGER, -- that would fill the holes of the stack
    repeated_positions INTEGER, -- frames at the place of another
    noise_sigma DOUBLE, -- source intensities
    snr DOUBLE, -- median tissue over noise
    motion_score DOUBLE, -- ghosts in air over the brightest tissue; null where there is no air
    clipped_fraction DOUBLE, -- share of pixels outside the window
    empty_slices INTEGER,
    bits_used INTEGER, -- that the stored values need
    flags VARCHAR[] -- limits that the series breaks
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

-- One row per patient and role that a training may read the patient in: train patients are fitted to, those of train
-- and val may be held out to measure with.
CREATE VIEW shards.roles AS
SELECT patient_key, 'train' AS role FROM shards.patients WHERE may_train
UNION ALL
SELECT patient_key, 'held_out' AS role FROM shards.patients WHERE split IN ('train', 'val');
