-- Do held-out studies find their report, and reports their study? Chance stands beside every figure.
-- columns:
--   model               clip; or synthesizer, before and after its training with reports
--   series              all of a study's; or other, those that are neither T1 nor T2
--   query               what is asked with
--   gallery             what is sought
--   n                   held-out studies that have both
--   recall_1            share whose own other half came first; of equal ones, how often in random order
--   chance_recall_1     the same by chance
--   recall_5            share whose own other half came among the first five
--   chance_recall_5     the same by chance
--   median_rank         of the own other half, from 1
--   chance_median_rank  the same by chance
WITH found AS (
    SELECT 'clip' AS model, 'all' AS series, * FROM clip.retrieval
    UNION ALL BY NAME
    SELECT 'synthesizer ' || stage AS model, * EXCLUDE (stage) FROM synthesizer.retrieval
)
SELECT
    model,
    series,
    query,
    gallery,
    n,
    recall_1,
    chance_recall_1,
    recall_5,
    chance_recall_5,
    median_rank,
    chance_median_rank
FROM found
ORDER BY LIST_POSITION(['clip', 'synthesizer before', 'synthesizer after'], model), series, query, gallery;
