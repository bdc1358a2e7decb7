-- Readings of drafts that are gone or of another study are counted apart, and the shares of the scores add up to one.
-- table: scores.radpeer
-- severity: error
WITH counted AS (
    SELECT status, COUNT(*) AS readings
    FROM scores.readers
    GROUP BY status
),

shares AS (
    SELECT reader, SUM(value) AS total
    FROM scores.radpeer
    WHERE measure = 'share' AND status = 'evaluated'
    GROUP BY reader
)

SELECT radpeer.measure, radpeer.reader, radpeer.score, radpeer.n, counted.readings, shares.total
FROM scores.radpeer AS radpeer
LEFT JOIN counted ON radpeer.measure = 'readings' AND counted.status = radpeer.score
LEFT JOIN shares ON radpeer.measure = 'share' AND shares.reader = radpeer.reader
WHERE
    (radpeer.measure = 'readings' AND radpeer.n <> COALESCE(counted.readings, 0))
    OR ABS(shares.total - 1) > 1e-9
    OR (radpeer.status = 'not_evaluable' AND COALESCE(radpeer.reason, '') = '')
ORDER BY radpeer.measure, radpeer.reader, radpeer.score;
