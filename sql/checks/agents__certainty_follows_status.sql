-- What is present is affirmed, definite or probable; what is indeterminate may be affirmed as possible; nothing else
-- is, and only what is affirmed has a place, a level, a side or a severity. Level and side are the first place's.
-- table: agents.claims
-- severity: error
SELECT batch_key, study_key, claim_key, agent, status, certainty, affirmed
FROM agents.claims
WHERE
    NOT COALESCE(
        CASE status
            WHEN 'present' THEN affirmed AND certainty IN ('definite', 'probable')
            WHEN 'indeterminate'
                THEN affirmed = (certainty IS NOT NULL)
                AND COALESCE(certainty, 'possible') = 'possible'
            ELSE NOT affirmed AND certainty IS NULL
        END,
        FALSE
    )
    OR (
        NOT COALESCE(affirmed, FALSE)
        AND (level IS NOT NULL OR side IS NOT NULL OR severity IS NOT NULL OR LEN(places) > 0)
    )
    OR level IS DISTINCT FROM places[1].level
    OR side IS DISTINCT FROM places[1].side
ORDER BY batch_key, study_key, agent;
