-- Every method's counts are those of its studies, on every rung, and what is evaluated lies between 0 and 1.
-- table: scores.methods
-- severity: error
WITH counted AS (
    SELECT
        method,
        COUNT(*) FILTER (WHERE status IN ('scored', 'unreadable')) AS scored,
        COUNT(*) FILTER (WHERE status = 'unreadable') AS unreadable,
        COUNT(*) FILTER (WHERE status = 'missing') AS missing,
        COUNT(*) FILTER (WHERE status = 'no_reference') AS no_reference
    FROM scores.studies
    GROUP BY method
)
SELECT methods.method, methods.strictness, methods.status, methods.n_studies, counted.scored, methods.f1
FROM scores.methods AS methods
LEFT JOIN counted ON counted.method = methods.method
WHERE
    methods.n_studies <> COALESCE(counted.scored, 0)
    OR methods.n_unreadable <> COALESCE(counted.unreadable, 0)
    OR methods.n_missing <> COALESCE(counted.missing, 0)
    OR methods.n_no_reference <> COALESCE(counted.no_reference, 0)
    OR NOT COALESCE(methods.status IN ('evaluated', 'not_evaluable'), FALSE)
    OR (methods.status = 'evaluated' AND methods.f1 NOT BETWEEN 0 AND 1)
    OR (methods.status = 'not_evaluable' AND (methods.f1 IS NOT NULL OR COALESCE(methods.reason, '') = ''))
ORDER BY methods.method, methods.strictness;
