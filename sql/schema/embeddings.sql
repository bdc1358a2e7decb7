-- Vectors of slices, series and studies, each with the versions that made it, and what the last refresh did.

CREATE SCHEMA embeddings;

-- One row per slice that there is an embedder for: an encoder of its route, or the synthesizer for route other.
-- stored: view
CREATE TABLE embeddings.slices (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    series_key VARCHAR,
    slice_key VARCHAR,
    route VARCHAR, -- t1, t2, other
    plane VARCHAR,
    encoder VARCHAR, -- dinov3-t1, dinov3-t2, synthesizer-<variant>
    model_version VARCHAR, -- content hash of weights and configuration
    preprocessing_version VARCHAR,
    pixel_hash VARCHAR, -- of the slice that was embedded; another one in shards.slices means a stale vector
    vector FLOAT[] -- class token, then mean and maximum of the patch tokens
);

-- One row per series: the pooled vectors of its slices.
-- stored: view
CREATE TABLE embeddings.series (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    series_key VARCHAR,
    route VARCHAR,
    plane VARCHAR,
    encoder VARCHAR,
    model_version VARCHAR,
    preprocessing_version VARCHAR,
    n_slices INTEGER,
    vector FLOAT[]
);

-- One row per study and route; a route that the study lacks is a missing row, never a zero vector.
-- stored: view
CREATE TABLE embeddings.studies (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    route VARCHAR,
    encoder VARCHAR,
    model_version VARCHAR,
    preprocessing_version VARCHAR,
    n_series INTEGER,
    n_slices INTEGER,
    vector FLOAT[]
);

-- What the last embedding of each batch computed, kept and dropped, by route and reason.
-- stored: copy
CREATE TABLE embeddings.refreshed (
    batch_key VARCHAR,
    route VARCHAR,
    reason VARCHAR, -- new_slice, new_preprocessing, new_pixels, new_model, vanished, unchanged
    n_slices INTEGER,
    n_series INTEGER, -- with such a slice
    n_studies INTEGER, -- with such a slice
    model_version_before VARCHAR, -- null for a new slice
    model_version_after VARCHAR -- null for a vanished slice
);

-- One row per patient and route: the mean of the study vectors of one model version.
CREATE VIEW embeddings.patients AS
WITH elements AS (
    SELECT
        patient_key,
        study_key,
        route,
        encoder,
        model_version,
        preprocessing_version,
        UNNEST(vector) AS element,
        GENERATE_SUBSCRIPTS(vector, 1) AS position
    FROM embeddings.studies
),
means AS (
    SELECT
        patient_key,
        route,
        encoder,
        model_version,
        preprocessing_version,
        position,
        COUNT(*) AS n_studies,
        -- FAVG compensates rounding, so that the mean does not depend on the order of rows.
        FAVG(element)::FLOAT AS element
    FROM elements
    GROUP BY patient_key, route, encoder, model_version, preprocessing_version, position
)
SELECT
    patient_key,
    route,
    encoder,
    model_version,
    preprocessing_version,
    MAX(n_studies) AS n_studies,
    LIST(element ORDER BY position) AS vector
FROM means
GROUP BY patient_key, route, encoder, model_version, preprocessing_version;

-- Vectors in the space of the reports: one row per study and modality; what a study lacks is a missing row.
-- stored: view
CREATE TABLE embeddings.aligned (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    modality VARCHAR, -- t1, t2 (or image), report: of clip; study, other: of the aligned synthesizer
    encoder VARCHAR, -- clip-<variant>, synthesizer-<variant>
    model_version VARCHAR, -- content hash of the model
    content_hash VARCHAR, -- of the slices or the text that the vector was made from
    vector FLOAT[] -- unit length
);

-- The slices that stand for a study, each alone in the space of the reports.
-- stored: view
CREATE TABLE embeddings.aligned_slices (
    batch_key VARCHAR,
    patient_key VARCHAR,
    study_key VARCHAR,
    series_key VARCHAR,
    slice_key VARCHAR,
    route VARCHAR,
    plane VARCHAR,
    encoder VARCHAR, -- clip-<variant> for t1 and t2, synthesizer-<variant> for other
    model_version VARCHAR,
    pixel_hash VARCHAR,
    vector FLOAT[] -- unit length
);
