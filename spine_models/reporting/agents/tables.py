"""Schemas of the agent registry, of typed claims and results, of severity grading and of the agents' scorecard."""

import polars as pl

REGISTRY = pl.Schema(
    {
        "agent": pl.String,  # diagnosis/<condition>, localization/<condition>, retrieval/<task>, report
        "kind": pl.String,  # diagnosis | localization | retrieval | report
        "condition": pl.String,  # null for retrieval and report
        "version": pl.String,
        "inputs": pl.List(pl.String),
        "trained": pl.Boolean,
        "reason": pl.String,  # why not trained; null otherwise
        "metric": pl.String,  # its own: auroc | level_auroc | slice_auroc | recall_5 | claim_f1
        "evaluation": pl.String,  # test | cv (train patients, out of fold)
        "value": pl.Float64,
        "low": pl.Float64,  # 95 % interval over patients
        "high": pl.Float64,
        "ece": pl.Float64,  # expected calibration error, where it gives probabilities
        "n_patients": pl.Int32,  # that the value was measured on
        "unmeasured": pl.String,  # why there is no value; null otherwise
        "grades_severity": pl.Boolean,  # diagnosis agents alone
        "severity_reason": pl.String,  # why it does not grade
    }
)

PLACE = pl.Struct(
    {
        "level": pl.String,  # disc or vertebra; null where uncertain
        "side": pl.String,  # of the patient; null near the midline
        "severity": pl.String,
        "confidence": pl.Float64,  # that the level has it; of a box, given that the study has it; or null
        "level_uncertain": pl.Boolean,
        "supervision": pl.String,  # supervised | weak | level: a level that its head flags, no box was found there
        "series_key": pl.String,
        "slice_key": pl.String,
        "instance_key": pl.String,
        "frame": pl.Int32,
        "x": pl.Float64,  # left edge, in pixels of the source frame
        "y": pl.Float64,
        "w": pl.Float64,
        "h": pl.Float64,
        "centre_mm": pl.List(pl.Float64),  # LPS; null where the slice has no place
    }
)
"""Where a condition is seen: a box on one slice, with what it tells of level and side."""

CLAIMS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "claim_key": pl.String,  # digest of study, agent, version and inputs
        "agent": pl.String,
        "agent_version": pl.String,
        "condition": pl.String,
        "status": pl.String,  # present | absent | indeterminate | not_assessed
        "certainty": pl.String,  # definite | probable | possible; null where not affirmed
        "affirmed": pl.Boolean,  # present, or indeterminate and flagged at a level or at the operating point
        "reason": pl.String,  # why not_assessed, or why it is indeterminate but for its probability; null otherwise
        "probability": pl.Float64,
        "confidence": pl.Float64,  # 0..1, distance of the probability from one half, doubled
        "level": pl.String,  # of the first place; null where uncertain or nowhere located
        "side": pl.String,
        "severity": pl.String,  # of the study's worst place; null where not graded
        "places": pl.List(PLACE),  # best first; of affirmed claims alone
        "sequence_set": pl.String,
        "model_versions": pl.List(pl.String),
        "source_series": pl.List(pl.String),
        "source_instances": pl.List(pl.String),
    }
)

NEIGHBOUR = pl.Struct(
    {
        "kind": pl.String,  # report | slice
        "study_key": pl.String,  # whose report, or the study's own of a slice
        "series_key": pl.String,
        "slice_key": pl.String,
        "score": pl.Float64,  # cosine
        "rank": pl.Int32,  # from 1; of a slice within its condition
        "condition": pl.String,  # whose sentence asked; null for reports
    }
)

RESULTS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "result_key": pl.String,  # digest of the row
        "agent": pl.String,
        "kind": pl.String,  # diagnosis | localization | retrieval
        "condition": pl.String,
        "status": pl.String,  # answered | not_assessed
        "reason": pl.String,  # why not assessed, or why it abstains
        "asked": pl.Boolean,  # false: nothing was affirmed that it could have looked for
        "probability": pl.Float64,
        "decision": pl.String,  # present | absent | abstain; of diagnosis agents that answered
        "level": pl.String,
        "side": pl.String,
        "boxes": pl.List(PLACE),
        "neighbours": pl.List(NEIGHBOUR),
        "confidence": pl.Float64,
        "agent_version": pl.String,
        "model_versions": pl.List(pl.String),
        "source_series": pl.List(pl.String),
        "source_instances": pl.List(pl.String),
        "tokens": pl.String,  # its part of the serialised string; null where it has none
    }
)
"""36 rows a study; the report agent answers by ``reports.DRAFTS``."""

GRADINGS = pl.Schema(
    {
        "condition": pl.String,
        "status": pl.String,  # used | not_used
        "reason": pl.String,  # why not used
        "grades": pl.List(pl.String),  # that it tells apart
        "n_studies": pl.Int32,  # train studies with the condition present and a graded report
        "n_patients": pl.Int32,
        "counts": pl.List(pl.Int32),  # studies of each grade
        "balanced_accuracy": pl.Float64,  # out of fold
        "low": pl.Float64,  # 95 % interval over patients
        "high": pl.Float64,
        "chance": pl.Float64,  # one over the number of grades
        "grading_version": pl.String,
    }
)

SCORECARD = pl.Schema(
    {
        "agent": pl.String,
        "kind": pl.String,
        "condition": pl.String,
        "version": pl.String,
        "trained": pl.Boolean,
        "reason": pl.String,
        "metric": pl.String,
        "evaluation": pl.String,
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "ece": pl.Float64,
        "n_patients": pl.Int32,
        "unmeasured": pl.String,
        "n_studies": pl.Int32,  # of the lake
        "n_asked": pl.Int32,  # in which there was something for it to say
        "n_answered": pl.Int32,
        "answered": pl.Float64,  # share of the asked
        "n_decided": pl.Int32,  # answers that do not abstain
        "decided": pl.Float64,  # share of the answered
    }
)
