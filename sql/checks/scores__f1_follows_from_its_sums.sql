-- A study's F1 is twice its credit over both weights, one where nothing is said or told, and no credit exceeds either.
-- table: scores.studies
-- severity: error
SELECT study_key, method, credit, said, told, precision, recall, f1
FROM scores.studies
WHERE
    status IN ('scored', 'unreadable')
    AND NOT COALESCE(
        ABS(f1 - CASE WHEN said + told > 0 THEN 2 * credit / (said + told) ELSE 1 END) < 1e-9
        AND credit BETWEEN 0 AND LEAST(said, told) + 1e-9
        AND precision BETWEEN 0 AND 1
        AND recall BETWEEN 0 AND 1
        AND false_positives BETWEEN 0 AND n_said
        AND omissions BETWEEN 0 AND n_told
        AND n_said - false_positives = n_told - omissions,
        FALSE
    )
ORDER BY study_key, method;
