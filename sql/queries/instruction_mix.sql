-- What are the instruction items made of, and do they hold: how many of each kind, verified, repeated, evenly dealt?
-- columns:
--   set              items, benchmark, or refused
--   kind             long, short, choice, report, multi_turn
--   dimension        what is asked about
--   items            how many
--   studies          of how many studies
--   patients         of how many patients
--   yes_share        share of items on a condition that say it is present
--   by_model         items in the words of a language model
--   verified_share   held against labels and evidence; of refused 0
--   duplicate_share  items whose words stand twice
--   position_spread  largest difference of how often a place is right, among choices with as many options
WITH listed AS (
    SELECT *, 'items' AS set, 1 AS place FROM instructions.items
    UNION ALL
    SELECT * EXCLUDE (split), 'benchmark', 2 FROM instructions.benchmark
    UNION ALL
    SELECT *, 'refused', 3 FROM instructions.refused
),
worded AS (
    SELECT
        *,
        COUNT(*) OVER (PARTITION BY set, LOWER(CAST(turns AS VARCHAR))) AS copies
    FROM listed
),
places AS (
    SELECT set, kind, dimension, size, UNNEST(RANGE(size)) AS position
    FROM (SELECT DISTINCT set, kind, dimension, LEN(options) AS size FROM listed WHERE kind = 'choice')
),
dealt AS (
    SELECT
        places.set,
        places.kind,
        places.dimension,
        places.size,
        COUNT(listed.item_key) AS n
    FROM places
    LEFT JOIN listed
        ON
            listed.set = places.set
            AND listed.kind = places.kind
            AND listed.dimension = places.dimension
            AND LEN(listed.options) = places.size
            AND listed.correct = places.position
    GROUP BY places.set, places.kind, places.dimension, places.size, places.position
),
spread AS (
    SELECT set, kind, dimension, MAX(difference) AS position_spread
    FROM (
        SELECT set, kind, dimension, size, MAX(n) - MIN(n) AS difference
        FROM dealt
        GROUP BY set, kind, dimension, size
    )
    GROUP BY set, kind, dimension
)
SELECT
    worded.set,
    worded.kind,
    worded.dimension,
    COUNT(*) AS items,
    COUNT(DISTINCT worded.study_key) AS studies,
    COUNT(DISTINCT worded.patient_key) AS patients,
    AVG(CASE WHEN worded.dimension = 'condition' THEN CAST(worded.status = 'present' AS INTEGER) END) AS yes_share,
    COUNT(*) FILTER (WHERE worded.writer <> 'templates') AS by_model,
    AVG(CAST(worded.verified AS INTEGER)) AS verified_share,
    AVG(CAST(worded.copies > 1 AS INTEGER)) AS duplicate_share,
    ANY_VALUE(spread.position_spread) AS position_spread
FROM worded
LEFT JOIN spread
    ON spread.set = worded.set AND spread.kind = worded.kind AND spread.dimension = worded.dimension
GROUP BY worded.set, worded.kind, worded.dimension, worded.place
ORDER BY worded.place, worded.kind, worded.dimension;
