-- Every slice vector belongs to a slice that the shards know.
-- table: embeddings.slices
-- severity: error
SELECT vectors.batch_key, vectors.study_key, vectors.slice_key, vectors.encoder
FROM embeddings.slices AS vectors
ANTI JOIN shards.slices AS slices
    ON slices.slice_key = vectors.slice_key AND slices.patient_key = vectors.patient_key
ORDER BY vectors.batch_key, vectors.slice_key;
