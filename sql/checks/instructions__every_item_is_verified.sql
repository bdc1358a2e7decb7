-- What is used is verified and has no reason against it; what is refused says why; an item is asked once.
-- table: instructions.items
-- severity: error
SELECT 'items' AS thing, item_key, rejected_reason
FROM instructions.items
WHERE NOT verified OR rejected_reason IS NOT NULL
UNION ALL
SELECT 'benchmark', item_key, rejected_reason
FROM instructions.benchmark
WHERE NOT verified OR rejected_reason IS NOT NULL
UNION ALL
SELECT 'refused', item_key, rejected_reason
FROM instructions.refused
WHERE verified OR rejected_reason IS NULL
UNION ALL
SELECT 'twice', item_key, NULL
FROM (FROM instructions.items UNION ALL FROM (SELECT * EXCLUDE (split) FROM instructions.benchmark))
GROUP BY item_key
HAVING COUNT(*) > 1
ORDER BY thing, item_key;
