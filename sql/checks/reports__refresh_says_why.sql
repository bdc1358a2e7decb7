-- Whatever a refresh made anew, requested or left waiting, it says why.
-- severity: error
-- table: reports.nights
SELECT
    night,
    batch_key,
    stage,
    outcome
FROM reports.nights
WHERE LEN(reasons) = 0 OR reasons IS NULL OR stage IS NULL OR stage = '';
