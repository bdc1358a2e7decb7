"""Schemas of the probes by stratum, of the guards' measured coverage, and of guarded probabilities."""

import polars as pl

_SCORED: dict[str, type[pl.DataType]] = {
    "auroc": pl.Float64,
    "auroc_low": pl.Float64,
    "auroc_high": pl.Float64,
}
_DIFFERENCE: dict[str, type[pl.DataType]] = {
    "difference": pl.Float64,
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
}
_STATUS: dict[str, type[pl.DataType]] = {
    "status": pl.String,
    "reason": pl.String,
}  # evaluated | not_evaluable, why

CONTRASTS = pl.Schema(
    {
        "condition": pl.String,
        "encoder": pl.String,
        "evaluation": pl.String,  # cv | test
        **_STATUS,
        "n_studies": pl.Int32,  # that have both sequences
        "n_patients": pl.Int32,
        "n_positive": pl.Int32,
        "t1": pl.Float64,  # AUROC
        "t1_low": pl.Float64,
        "t1_high": pl.Float64,
        "t2": pl.Float64,
        "t2_low": pl.Float64,
        "t2_high": pl.Float64,
        **_DIFFERENCE,  # t1 - t2
        "expected": pl.String,  # t1 | t2 | either
        "expectation": pl.String,  # the clinical reason
        "agreement": pl.String,  # agrees | disagrees | open (the interval holds zero); null where either may win
    }
)

VENDORS = pl.Schema(
    {
        "encoder": pl.String,
        "sequence_set": pl.String,
        "train_vendor": pl.String,  # vendor | all
        "test_vendor": pl.String,
        "category": pl.String,  # of conditions.yaml | every
        **_STATUS,
        "n_conditions": pl.Int32,  # evaluable ones that the mean is over
        "n_train_patients": pl.Int32,
        "n_test_patients": pl.Int32,
        "n_test_studies": pl.Int32,
        **_SCORED,  # mean over the conditions
        **_DIFFERENCE,  # to training on the tested vendor, same patients, conditions that both can tell
    }
)

COHORTS = pl.Schema(
    {
        "encoder": pl.String,
        "sequence_set": pl.String,
        "condition": pl.String,  # canal | neuroforaminal | subarticular | mean
        "train_cohort": pl.String,
        "test_cohort": pl.String,
        "test_splits": pl.String,  # splits of the tested patients; none of them trained anything
        **_STATUS,
        "n_train_studies": pl.Int32,
        "n_train_patients": pl.Int32,
        "n_test_studies": pl.Int32,
        "n_test_patients": pl.Int32,
        "n_positive": pl.Int32,
        **_SCORED,
        **_DIFFERENCE,  # to training within the tested cohort, same patients
    }
)

SUBGROUPS = pl.Schema(
    {
        "dimension": pl.String,  # age | sex | field_strength
        "subgroup": pl.String,
        "condition": pl.String,  # of conditions.yaml | mean
        "encoder": pl.String,
        "sequence_set": pl.String,
        "evaluation": pl.String,  # cv | test
        **_STATUS,
        "n_studies": pl.Int32,
        "n_patients": pl.Int32,
        "n_positive": pl.Int32,
        "prevalence": pl.Float64,
        "prevalence_low": pl.Float64,
        "prevalence_high": pl.Float64,
        **_SCORED,
        "ece": pl.Float64,  # its interval is biased upwards: noise of few studies counts as miscalibration
        "ece_low": pl.Float64,
        "ece_high": pl.Float64,
        "gap": pl.Float64,  # mean probability less prevalence; not biased by few studies
        "gap_low": pl.Float64,
        "gap_high": pl.Float64,
        **_DIFFERENCE,  # AUROC less that of everybody else
        "gap_difference": pl.Float64,
        "gap_difference_low": pl.Float64,
        "gap_difference_high": pl.Float64,
    }
)

CONFORMAL = pl.Schema(
    {
        "condition": pl.String,
        "sequence_set": pl.String,
        **_STATUS,
        "alpha": pl.Float64,
        "nominal": pl.Float64,  # 1 - alpha, of either class
        "calibrated_on": pl.String,  # cv | val | seen (out of fold of vectors that saw reports: nothing is promised)
        "n_calibration_positive": pl.Int32,  # patients, one study each
        "n_calibration_negative": pl.Int32,
        "present_from": pl.Float64,  # probabilities from here on allow "present"; null: not attainable
        "absent_to": pl.Float64,  # probabilities up to here allow "absent"
        "n_positive": pl.Int32,  # test patients, one study each
        "n_negative": pl.Int32,
        "coverage_positive": pl.Float64,  # share of the positives whose set holds "present"
        "coverage_positive_low": pl.Float64,  # Wilson
        "coverage_positive_high": pl.Float64,
        "coverage_negative": pl.Float64,
        "coverage_negative_low": pl.Float64,
        "coverage_negative_high": pl.Float64,
        "abstained": pl.Float64,  # share of test patients
        "abstained_low": pl.Float64,
        "abstained_high": pl.Float64,
        "n_decided": pl.Int32,
        "accuracy": pl.Float64,  # of the decided
        "accuracy_low": pl.Float64,
        "accuracy_high": pl.Float64,
    }
)

SCOPE = pl.Schema(
    {
        "route": pl.String,  # t1 | t2 | other | study (all of its routes)
        "studies": pl.String,  # test | outside (another body part) | flagged (test patients, flagged image quality)
        **_STATUS,
        "level": pl.Float64,  # nominal share of false alarms
        "n_studies": pl.Int32,
        "n_patients": pl.Int32,
        "n_flagged": pl.Int32,
        "share": pl.Float64,  # called out of scope; one study a patient
        "share_low": pl.Float64,  # Wilson
        "share_high": pl.Float64,
        **_SCORED,  # of the score, these studies against the test patients'; null for test
    }
)

NULL = pl.Schema(
    {
        "encoder": pl.String,
        "sequence_set": pl.String,
        "evaluation": pl.String,  # cv | test
        **_STATUS,
        "n_repeats": pl.Int32,
        "n_conditions": pl.Int32,
        "n_patients": pl.Int32,
        **_SCORED,  # mean over conditions and repeats, pairs of one fold; Student's t over repeats
        "auroc_spread": pl.Float64,  # standard deviation of the repeats
        "pooled": pl.Float64,  # the same with all pairs, as probes.METRICS: out of fold slightly below one half
        "real": pl.Float64,  # the same as auroc with the labels as they are
    }
)

GUARD_PATIENTS = pl.Schema(
    {
        "patient_key": pl.String,
        "part": pl.String,  # conformal | scope
        "n_studies": pl.Int32,
    }
)
"""Who the guards were calibrated on."""

PROBABILITIES = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "condition": pl.String,
        "sequence_set": pl.String,
        "probability": pl.Float64,
        "decision": pl.String,  # present | absent | abstain
        "reason": pl.String,  # why it abstains; null where it decides
        "out_of_scope": pl.Float64,  # conformal p-value of the study, small = unlike the training; null: no score
        "in_scope": pl.Boolean,
        "heads_version": pl.String,
        "guards_version": pl.String,
        "model_versions": pl.List(pl.String),
    }
)
