-- Index and neighbours are of one clip: that of the found report's vector, from one index for the whole lake.
-- table: retrieval.neighbours
-- severity: error
WITH found AS (
    SELECT
        neighbours.*,
        reports.model_version AS report_version,
        COUNT(DISTINCT index_version) OVER () AS indexes
    FROM retrieval.neighbours AS neighbours
    LEFT JOIN embeddings.aligned AS reports
        ON reports.study_key = neighbours.neighbour_study_key AND reports.modality = 'report'
)
SELECT batch_key, study_key, rank, clip_version, report_version, index_version, indexes
FROM found
WHERE report_version IS DISTINCT FROM clip_version OR indexes > 1
ORDER BY batch_key, study_key, rank;
