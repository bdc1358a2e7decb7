-- How many elements did each action of the confidentiality profile touch in each batch?
-- columns:
--   batch_key       study batch
--   action          removed, emptied, replaced, uids_mapped, dates_shifted, cleaned, kept
--   elements        elements touched
--   per_instance    mean number per released instance
--   instances       released instances that had at least one
WITH long AS (
    SELECT
        batch_key,
        UNNEST(
            ['removed', 'emptied', 'replaced', 'uids_mapped', 'dates_shifted', 'cleaned', 'kept']
        ) AS action,
        UNNEST([removed, emptied, replaced, uids_mapped, dates_shifted, cleaned, kept]) AS elements
    FROM deid.audit
)
SELECT
    batch_key,
    action,
    COALESCE(SUM(elements), 0)::BIGINT AS elements,
    COALESCE(AVG(COALESCE(elements, 0)), 0) AS per_instance,
    COUNT(*) FILTER (WHERE elements > 0) AS instances
FROM long
GROUP BY batch_key, action
ORDER BY
    batch_key,
    LIST_POSITION(
        ['removed', 'emptied', 'replaced', 'uids_mapped', 'dates_shifted', 'cleaned', 'kept'], action
    );
