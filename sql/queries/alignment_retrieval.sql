-- Do held-out studies find their report, and reports their study? Chance stands beside every figure.
-- columns:
--   query               what is asked with
--   gallery             what is sought
--   n                   held-out studies that have both
--   recall_1            share whose own other half came first
--   chance_recall_1     the same by chance
--   recall_5            share whose own other half came among the first five
--   chance_recall_5     the same by chance
--   median_rank         of the own other half, from 1
--   chance_median_rank  the same by chance
SELECT
    query,
    gallery,
    n,
    recall_1,
    chance_recall_1,
    recall_5,
    chance_recall_5,
    median_rank,
    chance_median_rank
FROM clip.retrieval
ORDER BY query, gallery;
