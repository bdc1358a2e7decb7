-- The scorecard counts the results that there are: who was asked, who answered, who decided.
-- table: agents.scorecard
-- severity: error
WITH counted AS (
    SELECT
        agent,
        COUNT(DISTINCT study_key) AS n_studies,
        COUNT(*) FILTER (WHERE asked) AS n_asked,
        COUNT(*) FILTER (WHERE status = 'answered') AS n_answered
    FROM agents.results
    GROUP BY agent
)
SELECT
    scorecard.agent,
    scorecard.n_studies,
    counted.n_studies AS studies,
    scorecard.n_answered,
    counted.n_answered AS found
FROM agents.scorecard AS scorecard
LEFT JOIN counted ON counted.agent = scorecard.agent
WHERE
    scorecard.kind <> 'report'
    AND NOT COALESCE(
        scorecard.n_studies = counted.n_studies
        AND scorecard.n_asked = counted.n_asked
        AND scorecard.n_answered = counted.n_answered
        AND scorecard.n_decided <= scorecard.n_answered
        AND COALESCE(scorecard.answered = scorecard.n_answered / scorecard.n_asked, scorecard.n_asked = 0)
        AND COALESCE(scorecard.decided = scorecard.n_decided / scorecard.n_answered, scorecard.n_answered = 0),
        FALSE
    )
ORDER BY scorecard.agent;
