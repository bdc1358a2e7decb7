-- Every mentioned condition carries a quote, and the quote stands in the report exactly where the label says.
-- table: labels.verdicts
-- severity: error
WITH quotes AS (
    SELECT
        'verdicts' AS thing,
        batch_key,
        study_key,
        report_key,
        condition,
        status,
        evidence,
        evidence_start,
        evidence_end,
        -- Silence has no quote, nor has an answer that failed.
        status <> 'not_mentioned' AND COALESCE(reason, 'hedged') = 'hedged' AS is_quoting
    FROM labels.verdicts
    UNION ALL
    SELECT
        'mentions', batch_key, study_key, report_key, condition, status, evidence, evidence_start, evidence_end, TRUE
    FROM labels.mentions
)
SELECT
    quotes.thing,
    quotes.batch_key,
    quotes.study_key,
    quotes.report_key,
    quotes.condition,
    quotes.status,
    quotes.evidence_start,
    quotes.evidence_end
FROM quotes
LEFT JOIN deid.reports AS reports ON reports.report_key = quotes.report_key
WHERE
    (quotes.is_quoting OR quotes.evidence IS NOT NULL)
    -- Positions count characters from 0 in the tables and from 1 in SQL.
    AND NOT COALESCE(
        quotes.evidence <> ''
        AND SUBSTRING(
            reports.report_text, quotes.evidence_start + 1, quotes.evidence_end - quotes.evidence_start
        ) = quotes.evidence,
        FALSE
    )
ORDER BY quotes.thing, quotes.batch_key, quotes.report_key, quotes.condition;
