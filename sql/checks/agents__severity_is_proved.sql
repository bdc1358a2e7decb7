-- A grading is used only where the interval of its balanced accuracy lies above chance; a claim names only its grades.
-- table: agents.gradings
-- severity: error
SELECT condition, NULL AS claim_key, status, reason
FROM agents.gradings
WHERE
    NOT COALESCE(
        CASE status
            WHEN 'used' THEN low > chance AND balanced_accuracy BETWEEN low AND high AND reason IS NULL
            WHEN 'not_used' THEN reason <> ''
        END,
        FALSE
    )
UNION ALL
SELECT claims.condition, claims.claim_key, gradings.status, 'a severity that is not graded'
FROM agents.claims AS claims
LEFT JOIN agents.gradings AS gradings ON gradings.condition = claims.condition
WHERE
    claims.severity IS NOT NULL
    AND NOT COALESCE(gradings.status = 'used' AND LIST_CONTAINS(gradings.grades, claims.severity), FALSE)
ORDER BY condition, claim_key;
