"""Schemas of labels: mentions, one row per report and condition per labeller, and what the panel makes of them."""

import polars as pl

_STUDY = {"batch_key": pl.String, "patient_key": pl.String, "study_key": pl.String}
_QUOTE = {
    "evidence": pl.String,  # verbatim: report_text[evidence_start:evidence_end]
    "evidence_start": pl.Int32,
    "evidence_end": pl.Int32,
}

MENTIONS = pl.Schema(
    {
        **_STUDY,
        "report_key": pl.String,
        "labeller": pl.String,
        "condition": pl.String,
        "status": pl.String,  # present | absent | ambiguous
        "level": pl.String,  # canonical disc "L4-L5" or vertebra "L4"; null
        "side": pl.String,
        "severity": pl.String,
        "section": pl.String,  # findings | impression
        **_QUOTE,
    }
)

LABELS = pl.Schema(
    {
        **_STUDY,
        "report_key": pl.String,
        "labeller": pl.String,
        "labeller_version": pl.String,
        "condition": pl.String,
        "status": pl.String,  # present | absent | ambiguous | not_mentioned
        "label": pl.Int8,  # 1, 0, -1
        "level": pl.String,  # of the most severe mention
        "levels": pl.List(pl.String),
        "side": pl.String,
        "severity": pl.String,
        **_QUOTE,
        "confidence": pl.Float32,  # the labeller's own, 0 to 1
        "reason": pl.String,  # contract.Reason of an ambiguous row
    }
)

REQUESTS = pl.Schema(
    {
        "batch_key": pl.String,
        "study_key": pl.String,
        "report_key": pl.String,
        "labeller": pl.String,
        "condition": pl.String,  # null: one question about all conditions
        "repeat": pl.Int32,  # 0: the answer that counts; 1..: asked again for the self-check
        "request_key": pl.String,  # hash of report, prompt, model, execution mode, seed
        "model": pl.String,
        "prompt_version": pl.String,
        "execution_mode": pl.String,  # what else changes answers at temperature 0: engine, precision, parallelism
        "seed": pl.Int64,
        "finish_reason": pl.String,  # stop, length, ...; null: no answer
        "outcome": pl.String,  # answered, or the contract.Reason why not
        "prompt_tokens": pl.Int32,
        "cached_tokens": pl.Int32,
        "completion_tokens": pl.Int32,
        "seconds": pl.Float32,
        "attempts": pl.Int32,
    }
)

ADJUDICATIONS = pl.Schema({"study_key": pl.String, "condition": pl.String, "status": pl.String})
"""What people decided; at most one row per study and condition."""

CONSENSUS = pl.Schema(
    {
        **_STUDY,
        "condition": pl.String,
        "status": pl.String,
        "label": pl.Int8,
        "level": pl.String,
        "levels": pl.List(pl.String),
        "side": pl.String,
        "severity": pl.String,
        "evidence": pl.String,
        "labellers": pl.List(pl.String),
        "agreed": pl.Boolean,
        "reason": pl.String,
    }
)

REVIEW_QUEUE = pl.Schema(
    {
        **_STUDY,
        "report_key": pl.String,
        "condition": pl.String,
        "rank": pl.Int32,  # 1 first
        "weight": pl.Float32,  # how much it matters, see panel.review
        "reason": pl.String,
        "statuses": pl.String,  # "rules: present, llama: absent"
        "quotes": pl.List(pl.String),  # one per labeller that has one
    }
)

CONTRADICTIONS = pl.Schema(
    {
        **_STUDY,
        "report_key": pl.String,
        "condition": pl.String,
        "findings_status": pl.String,
        "impression_status": pl.String,
        "findings_quote": pl.String,
        "impression_quote": pl.String,
    }
)

AGREEMENT = pl.Schema(
    {
        "condition": pl.String,  # "all": every condition together
        "first": pl.String,
        "second": pl.String,
        "studies": pl.Int64,  # that both labelled; in "all" one for every condition of each
        "observed": pl.Float64,  # share of equal labels (1, 0, -1)
        "kappa": pl.Float64,  # Cohen; null where both give one and the same label throughout
        "pabak": pl.Float64,  # prevalence-adjusted, bias-adjusted kappa
        "first_present": pl.Int64,
        "second_present": pl.Int64,
        "equal": pl.Int64,
    }
)

RATERS = pl.Schema(
    {
        "condition": pl.String,
        "labeller": pl.String,
        "studies": pl.Int64,  # on which it gives a vote: says present or not, and is not in doubt
        "prevalence": pl.Float64,  # of present, estimated
        "sensitivity": pl.Float64,  # P(says present | present)
        "specificity": pl.Float64,  # P(does not say present | not present)
        "error_rate": pl.Float64,  # expected share of its votes that are wrong
        "converged": pl.Boolean,
    }
)

AUDIT = pl.Schema(
    {
        **_STUDY,
        "condition": pl.String,
        "stratum": pl.String,  # present | absent | not_mentioned | ambiguous
        "stratum_size": pl.Int64,
        "sampled": pl.Int64,
        "weight": pl.Float64,  # rows of the stratum that this row stands for
        "status": pl.String,
        "evidence": pl.String,
    }
)

RELIABILITY = pl.Schema(
    {
        "labeller": pl.String,
        "condition": pl.String,  # "all": every condition together
        "measure": pl.String,  # repeat_agreement | evidence_rate | ambiguous_rate | contradiction_rate | audit_accuracy
        "n": pl.Int64,
        "value": pl.Float64,
        "low": pl.Float64,  # 95 % Wilson interval; of audit_accuracy on the effective sample size
        "high": pl.Float64,
    }
)

DRIFT = pl.Schema(
    {
        "batch_key": pl.String,
        "condition": pl.String,
        "studies": pl.Int64,  # with a label other than -1
        "present": pl.Int64,
        "prevalence": pl.Float64,
        "other_studies": pl.Int64,
        "other_prevalence": pl.Float64,  # of all other batches
        "p_value": pl.Float64,  # Fisher's exact test
        "drifted": pl.Boolean,  # after Holm's correction over all rows
    }
)
