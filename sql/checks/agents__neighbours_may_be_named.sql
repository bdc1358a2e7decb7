-- A report that an agent names is of another patient, one of train; a slice that it names is of the study itself.
-- table: agents.results
-- severity: error
WITH named AS (
    SELECT
        results.batch_key,
        results.study_key,
        results.patient_key,
        results.agent,
        UNNEST(results.neighbours) AS neighbour
    FROM agents.results AS results
),
owners AS (
    SELECT DISTINCT aligned.study_key, aligned.patient_key, splits.split
    FROM embeddings.aligned AS aligned
    LEFT JOIN shards.splits AS splits ON splits.patient_key = aligned.patient_key
)
SELECT
    named.batch_key,
    named.study_key,
    named.agent,
    named.neighbour.kind AS kind,
    named.neighbour.study_key AS neighbour
FROM named
LEFT JOIN owners ON owners.study_key = named.neighbour.study_key
WHERE
    NOT COALESCE(
        CASE named.neighbour.kind
            WHEN 'report' THEN owners.split = 'train' AND owners.patient_key <> named.patient_key
            WHEN 'slice'
                THEN named.neighbour.study_key = named.study_key
                AND named.neighbour.condition IS NOT NULL
        END,
        FALSE
    )
ORDER BY named.batch_key, named.study_key, named.agent;
