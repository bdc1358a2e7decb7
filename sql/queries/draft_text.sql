-- What do the drafted reports say? Drafts are for research, to be read by a radiologist.
-- columns:
--   study_key       study
--   region          template of the draft
--   study_date      shifted date
--   present         conditions claimed present
--   indeterminate   conditions claimed neither present nor absent
--   not_assessed    number of conditions not assessed
--   report_text     the draft
WITH claimed AS (
    SELECT
        study_key,
        LIST(condition ORDER BY condition) FILTER (WHERE status = 'present') AS present,
        LIST(condition ORDER BY condition) FILTER (WHERE status = 'indeterminate') AS indeterminate,
        COUNT(*) FILTER (WHERE status = 'not_assessed') AS not_assessed
    FROM agents.claims
    GROUP BY study_key
)
SELECT
    drafts.study_key,
    drafts.region,
    studies.study_date,
    claimed.present,
    claimed.indeterminate,
    claimed.not_assessed,
    drafts.report_text
FROM reports.drafts AS drafts
LEFT JOIN claimed ON claimed.study_key = drafts.study_key
LEFT JOIN deid.studies AS studies ON studies.study_key = drafts.study_key
ORDER BY drafts.study_key;
