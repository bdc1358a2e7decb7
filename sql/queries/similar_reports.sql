-- Which reports of other patients are most like a study, and which conditions do both name as present?
-- columns:
--   study_key             study that was asked with
--   rank                  of the found report, from 1
--   score                 cosine
--   neighbour_study_key   whose report was found
--   conditions            present in the study, by its own report
--   found_conditions      present by the found report
--   shared                conditions that both have
WITH present AS (
    SELECT study_key, LIST(condition ORDER BY condition) AS conditions
    FROM labels.consensus
    WHERE label = 1
    GROUP BY study_key
)
SELECT
    neighbours.study_key,
    neighbours.rank,
    neighbours.score,
    neighbours.neighbour_study_key,
    COALESCE(own.conditions, []) AS conditions,
    COALESCE(found.conditions, []) AS found_conditions,
    LEN(LIST_INTERSECT(COALESCE(own.conditions, []), COALESCE(found.conditions, []))) AS shared
FROM retrieval.neighbours AS neighbours
LEFT JOIN present AS own ON own.study_key = neighbours.study_key
LEFT JOIN present AS found ON found.study_key = neighbours.neighbour_study_key
ORDER BY neighbours.study_key, neighbours.rank;
