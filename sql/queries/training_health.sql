-- How did each training of the encoders end, beside where it began?
-- columns:
--   training        pretrain, anchor or synthesize
--   route           t1, t2; all where a training reads every route
--   steps           recorded last
--   dino            DINO loss of the last step
--   gram            Gram loss of the last step; null where there is none
--   view_retrieval_first  share of views that found each other before the first step
--   view_retrieval  and after the last
--   rank_first      effective rank of the features before the first step
--   effective_rank  and after the last
WITH trainings AS (
    SELECT training, route, step, dino, gram, view_retrieval, effective_rank FROM backbone.trainings
    UNION ALL
    SELECT 'synthesize', route, step, dino, gram, view_retrieval, effective_rank FROM synthesizer.curves
)
SELECT
    training,
    route,
    MAX(step) AS steps,
    ARG_MAX(dino, step) AS dino,
    ARG_MAX(gram, step) AS gram,
    ARG_MIN(view_retrieval, step) AS view_retrieval_first,
    ARG_MAX(view_retrieval, step) AS view_retrieval,
    ARG_MIN(effective_rank, step) AS rank_first,
    ARG_MAX(effective_rank, step) AS effective_rank
FROM trainings
GROUP BY training, route
ORDER BY LIST_POSITION(['pretrain', 'anchor', 'synthesize'], training), route;
