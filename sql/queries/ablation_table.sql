-- What does each part of the system add? Each variant beside the part as it is in use, paired by patient.
-- Recall at 5 is asked in a variant's own space where it has a text side, and through a linear map from its vectors.
-- columns:
--   question        gram, length, alignment, synthesizer
--   sequence_set    t1, t2, other, all
--   evaluation      cv (patients of train, out of fold), test
--   measure         auroc, auprc: means over conditions; recall_at_5, recall_at_5_linear: reports found by the image
--   variant         what stands in the part's place
--   reference       the part as it is in use
--   conditions      conditions that all variants could be evaluated on; null for recall
--   n_studies       studies that all variants have; for recall those that asked
--   value           of the variant
--   low             lower end of its 95 % bootstrap interval over patients
--   high            upper end
--   reference_value  of the part as it is in use, on the same studies
--   gain            reference over variant, less one; null over a variant that finds nothing
--   gain_low        lower end of its interval; above 0 the part helps
--   gain_high       upper end
--   reason          why there is no value, or no gain; null otherwise
SELECT
    variant.question,
    variant.sequence_set,
    variant.evaluation,
    variant.measure,
    variant.variant,
    reference.variant AS reference,
    variant.conditions,
    variant.n_studies,
    variant.value,
    variant.low,
    variant.high,
    reference.value AS reference_value,
    variant.relative_gain AS gain,
    variant.relative_gain_low AS gain_low,
    variant.relative_gain_high AS gain_high,
    variant.reason
FROM ablations.scores AS variant
INNER JOIN ablations.scores AS reference
    ON
        reference.is_reference
        AND reference.question = variant.question
        AND reference.sequence_set = variant.sequence_set
        AND reference.evaluation = variant.evaluation
        AND reference.measure = variant.measure
WHERE NOT variant.is_reference
ORDER BY
    variant.question, variant.sequence_set, variant.evaluation, variant.measure, gain DESC NULLS LAST, variant.variant;
