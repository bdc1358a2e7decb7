-- What do readers think of the drafts: how are scores spread, how much do they rewrite, how far do they agree?
-- columns:
--   measure  readings (by status), share (of a score), significant, edit_distance (by score), kappa (of two), alpha
--   reader   all, or the code of one
--   other    the second reader of a kappa
--   score    RADPEER score 1, 2a .. 4b; the status for readings; null for all scores
--   n        readings; of kappa and alpha drafts that two or more read
--   value    share, mean share of words changed, weighted kappa, ordinal alpha, or number of readings
--   low      lower end of its 95 % interval
--   high     upper end
--   reason   why there is no value; null otherwise
SELECT
    measure,
    reader,
    other,
    score,
    n,
    value,
    low,
    high,
    reason
FROM scores.radpeer
ORDER BY
    LIST_POSITION(['readings', 'share', 'significant', 'edit_distance', 'alpha', 'kappa'], measure),
    -- All readers first.
    reader <> 'all',
    reader,
    other NULLS FIRST,
    LIST_POSITION(['read', 'unknown_draft', 'other_study'], score),
    score NULLS FIRST;
