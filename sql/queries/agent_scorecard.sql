-- How good is each of the 37 agents by its own measure, how well calibrated, and how much does it answer?
-- columns:
--   agent         its name
--   kind          diagnosis, localization, retrieval, report
--   name          its condition; null for retrieval and report
--   version       of its rules and models
--   trained       whether it is trained
--   metric        auroc; level_auroc (levels that reports name); slice_auroc (annotated slices); recall_5; claim_f1
--   evaluation    test patients; cv: train patients out of fold
--   value         of the metric
--   low           lower end of the 95 % interval over patients
--   high          upper end
--   ece           expected calibration error, where it gives probabilities
--   n_patients    that the value was measured on
--   n_studies     studies of the lake
--   asked         studies in which there was something for it to say
--   answered      share of these that it answered
--   decided       share of the answers that do not abstain
--   severity      whether it grades severity; null where that is not its task
--   reason        why it is not trained, has no value, or does not grade
WITH drafted AS (
    SELECT
        COUNT(DISTINCT studies.study_key) AS n_studies,
        COUNT(DISTINCT drafts.study_key) AS n_drafts
    FROM (SELECT DISTINCT study_key FROM agents.claims) AS studies
    LEFT JOIN reports.drafts AS drafts ON drafts.study_key = studies.study_key
)
SELECT
    scorecard.agent,
    scorecard.kind,
    conditions.name,
    scorecard.version,
    scorecard.trained,
    scorecard.metric,
    -- The report agent answers by its drafts, and they are scored.
    IF(scorecard.kind = 'report' AND graded.f1 IS NOT NULL, 'test', scorecard.evaluation) AS evaluation,
    COALESCE(graded.f1, scorecard.value) AS value,
    COALESCE(graded.f1_low, scorecard.low) AS low,
    COALESCE(graded.f1_high, scorecard.high) AS high,
    scorecard.ece,
    COALESCE(graded.n_patients, scorecard.n_patients) AS n_patients,
    IF(scorecard.kind = 'report', drafted.n_studies, scorecard.n_studies) AS n_studies,
    IF(scorecard.kind = 'report', drafted.n_studies, scorecard.n_asked) AS asked,
    IF(scorecard.kind = 'report', drafted.n_drafts / NULLIF(drafted.n_studies, 0), scorecard.answered) AS answered,
    scorecard.decided,
    registry.grades_severity AS severity,
    NULLIF(
        CONCAT_WS('; ', scorecard.reason, IF(graded.f1 IS NULL, scorecard.unmeasured, NULL), registry.severity_reason),
        ''
    ) AS reason
FROM agents.scorecard AS scorecard
CROSS JOIN drafted
LEFT JOIN agents.registry AS registry ON registry.agent = scorecard.agent
LEFT JOIN scores.methods AS graded
    ON scorecard.kind = 'report' AND graded.method = 'agents' AND graded.strictness = 'graded'
LEFT JOIN labels.conditions AS conditions ON conditions.condition = scorecard.condition
ORDER BY
    LIST_POSITION(['diagnosis', 'localization', 'retrieval', 'report'], scorecard.kind),
    conditions.position,
    scorecard.agent;
