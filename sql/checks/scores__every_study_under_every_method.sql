-- No study is dropped: each stands once under every method, with numbers or with the reason why not.
-- table: scores.studies
-- severity: error
WITH counted AS (
    SELECT
        study_key,
        COUNT(DISTINCT method) AS methods,
        COUNT(*) AS n_rows,
        COUNT(*) FILTER (
            WHERE
            (status IN ('scored', 'unreadable')) <> (f1 IS NOT NULL)
            OR (status = 'scored') <> (reason IS NULL)
            OR NOT COALESCE(status IN ('scored', 'unreadable', 'missing', 'no_reference'), FALSE)
        ) AS unexplained
    FROM scores.studies
    GROUP BY study_key
)
SELECT study_key, methods, n_rows, unexplained
FROM counted
WHERE methods <> 4 OR n_rows <> 4 OR unexplained > 0
ORDER BY study_key;
