-- Every aligned vector of a study or report is finite and of length 1, and a study has one of each modality.
-- table: embeddings.aligned
-- severity: error
WITH measured AS (
    SELECT
        batch_key,
        study_key,
        modality,
        SQRT(LIST_SUM(LIST_TRANSFORM(vector, LAMBDA element: element::DOUBLE * element))) AS length,
        COUNT(*) OVER (PARTITION BY study_key, modality) AS vectors
    FROM embeddings.aligned
)
SELECT batch_key, study_key, modality, length, vectors
FROM measured
-- NaN is above every number here, and null is no length.
WHERE NOT COALESCE(ABS(length - 1) <= 1e-3, FALSE) OR vectors <> 1
ORDER BY batch_key, study_key, modality;
