-- How often may each agent decide, how right is it then, does it keep its promise? And what does it do in the lake?
-- columns:
--   sequence_set       t1, t2, other, all
--   condition          key of the condition
--   nominal            promised coverage of either class
--   coverage_positive  share of test patients with the condition whose prediction set holds "present"
--   coverage_negative  share of test patients without it whose prediction set holds "absent"
--   abstained          share of test patients not decided
--   accuracy           of the decided
--   n_positive         test patients with the condition
--   n_negative         test patients without it
--   present_from       least probability that allows "present"
--   absent_to          greatest probability that allows "absent"
--   lake_studies       studies of all batches that were asked
--   lake_abstained     share of them not decided
--   lake_out_of_scope  share of them unlike the training
--   reason             why not evaluable; null otherwise
WITH asked AS (
    SELECT
        condition,
        sequence_set,
        COUNT(*) AS studies,
        AVG((decision = 'abstain')::INTEGER) AS abstained,
        AVG((NOT in_scope)::INTEGER) AS out_of_scope
    FROM probes.probabilities
    GROUP BY condition, sequence_set
)
SELECT
    conformal.sequence_set,
    conformal.condition,
    conformal.nominal,
    conformal.coverage_positive,
    conformal.coverage_negative,
    conformal.abstained,
    conformal.accuracy,
    conformal.n_positive,
    conformal.n_negative,
    conformal.present_from,
    conformal.absent_to,
    COALESCE(asked.studies, 0) AS lake_studies,
    asked.abstained AS lake_abstained,
    asked.out_of_scope AS lake_out_of_scope,
    conformal.reason
FROM probes.conformal AS conformal
LEFT JOIN asked ON asked.condition = conformal.condition AND asked.sequence_set = conformal.sequence_set
LEFT JOIN labels.conditions AS conditions ON conditions.condition = conformal.condition
ORDER BY conformal.sequence_set, conditions.position;
