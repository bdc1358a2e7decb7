-- The evidence of every item stands in its report, exactly where the item says, and the report is the study's own.
-- table: instructions.items
-- severity: error
WITH items AS (
    SELECT 'items' AS thing, item_key, report_key, study_key, evidence, evidence_start, evidence_end
    FROM instructions.items
    UNION ALL
    SELECT 'benchmark', item_key, report_key, study_key, evidence, evidence_start, evidence_end
    FROM instructions.benchmark
)
SELECT
    items.thing,
    items.item_key,
    items.report_key,
    items.evidence_start,
    items.evidence_end
FROM items
LEFT JOIN deid.reports AS reports
    ON reports.report_key = items.report_key AND reports.study_key = items.study_key
WHERE
    -- Positions count characters from 0 in the tables and from 1 in SQL.
    NOT COALESCE(
        items.evidence <> ''
        AND SUBSTRING(
            reports.report_text, items.evidence_start + 1, items.evidence_end - items.evidence_start
        ) = items.evidence,
        FALSE
    )
ORDER BY items.thing, items.item_key;
