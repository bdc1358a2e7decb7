-- A choice has two or more different options, the right one among them at its place; nothing else has options.
-- table: instructions.items
-- severity: error
WITH items AS (
    SELECT 'items' AS thing, item_key, kind, answer, options, correct FROM instructions.items
    UNION ALL
    SELECT 'benchmark', item_key, kind, answer, options, correct FROM instructions.benchmark
)
SELECT thing, item_key, correct
FROM items
WHERE
    (kind = 'choice') <> (options IS NOT NULL)
    OR (kind = 'choice') <> (correct IS NOT NULL)
    OR (
        kind = 'choice'
        AND NOT COALESCE(
            LEN(options) >= 2
            AND LEN(LIST_DISTINCT(options)) = LEN(options)
            AND correct BETWEEN 0 AND LEN(options) - 1
            AND options[correct + 1] = answer,
            FALSE
        )
    )
ORDER BY thing, item_key;
