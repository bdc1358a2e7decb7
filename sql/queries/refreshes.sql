-- What did the last nights make anew, and why?
-- columns:
--   night       day on which the refresh began, UTC
--   stage       stage that was made
--   outcome     refreshed, failed, requested or waits
--   batches     how many batches; 0 where it is of the whole lake
--   seconds     of its jobs; a job that makes several stages counts once, at the first of them
--   reasons     why
WITH lines AS (
    SELECT
        *,
        ROW_NUMBER() OVER (PARTITION BY started_at, batch_key, job, outcome ORDER BY stage) AS place
    FROM reports.nights
)
SELECT
    night,
    stage,
    outcome,
    COUNT(DISTINCT batch_key) AS batches,
    ROUND(SUM(seconds) FILTER (place = 1), 1) AS seconds,
    LIST_SORT(LIST_DISTINCT(FLATTEN(LIST(reasons)))) AS reasons
FROM lines
GROUP BY night, stage, outcome
ORDER BY night DESC, stage, outcome;
