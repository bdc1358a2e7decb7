-- Every encoder, head, sequence set and evaluation reports each of the 17 conditions once, evaluable or not.
-- table: probes.metrics
-- severity: error
WITH tables AS (
    SELECT DISTINCT encoder, head, sequence_set, evaluation
    FROM probes.metrics
),
expected AS (
    SELECT tables.*, conditions.condition
    FROM tables
    CROSS JOIN labels.conditions AS conditions
),
found AS (
    SELECT encoder, head, sequence_set, evaluation, condition, COUNT(*) AS n
    FROM probes.metrics
    GROUP BY encoder, head, sequence_set, evaluation, condition
)
SELECT encoder, head, sequence_set, evaluation, condition, COALESCE(found.n, 0) AS metrics
FROM expected
FULL JOIN found USING (encoder, head, sequence_set, evaluation, condition)
WHERE COALESCE(found.n, 0) <> 1 OR condition NOT IN (SELECT condition FROM labels.conditions)
ORDER BY encoder, head, sequence_set, evaluation, condition;
