-- A result is answered or says why not; it has a decision where a diagnosis agent answered, boxes or neighbours where
-- another did, and nothing where nobody did.
-- table: agents.results
-- severity: error
SELECT batch_key, study_key, result_key, agent, status, reason
FROM agents.results
WHERE
    NOT COALESCE(
        CASE status
            WHEN 'answered'
                THEN asked
                AND COALESCE(LEN(source_instances), 0) > 0
                AND COALESCE(LEN(model_versions), 0) > 0
                AND CASE kind
                    WHEN 'diagnosis' THEN decision IN ('present', 'absent', 'abstain') AND probability IS NOT NULL
                    WHEN 'localization' THEN LEN(boxes) > 0
                    WHEN 'retrieval' THEN LEN(neighbours) > 0
                END
            WHEN 'not_assessed'
                THEN reason <> ''
                AND decision IS NULL
                AND probability IS NULL
                AND COALESCE(LEN(boxes), 0) = 0
                AND COALESCE(LEN(neighbours), 0) = 0
        END,
        FALSE
    )
    OR (asked IS NOT TRUE AND kind = 'diagnosis')
ORDER BY batch_key, study_key, agent;
