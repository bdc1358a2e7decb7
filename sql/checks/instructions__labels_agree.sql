-- An item says of its condition what the consensus says; reports are of no one condition.
-- table: instructions.items
-- severity: error
WITH items AS (
    SELECT 'items' AS thing, item_key, kind, study_key, condition, status FROM instructions.items
    UNION ALL
    SELECT 'benchmark', item_key, kind, study_key, condition, status FROM instructions.benchmark
)
SELECT
    items.thing,
    items.item_key,
    items.condition,
    items.status,
    consensus.status AS label
FROM items
LEFT JOIN labels.consensus AS consensus
    ON consensus.study_key = items.study_key AND consensus.condition = items.condition
WHERE
    (items.kind <> 'report' AND items.status IS DISTINCT FROM consensus.status)
    OR (items.kind = 'report' AND items.condition IS NOT NULL)
ORDER BY items.thing, items.item_key;
