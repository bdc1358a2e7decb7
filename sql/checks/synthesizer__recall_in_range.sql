-- Recall is a share, and a median rank lies between 1 and the number of studies.
-- table: synthesizer.retrieval
-- severity: error
SELECT stage, series, query, gallery, n, recall_1, recall_5, median_rank
FROM synthesizer.retrieval
WHERE n > 0
  AND NOT COALESCE(
      recall_1 BETWEEN 0 AND 1 AND recall_5 BETWEEN recall_1 AND 1 AND median_rank BETWEEN 1 AND n, FALSE
  )
ORDER BY stage, series, query, gallery;
