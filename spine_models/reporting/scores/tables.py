"""Schemas of the scores of reports."""

import polars as pl

_COUNT = {"n_studies": pl.Int32, "n_patients": pl.Int32}


def _interval(*names: str) -> dict[str, type[pl.Float64]]:
    return {f"{name}{end}": pl.Float64 for name in names for end in ("", "_low", "_high")}


STUDIES = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "method": pl.String,  # agents | agents_llm | image_only | retrieved
        "status": pl.String,  # scored | unreadable (scored as a report that says nothing) | missing | no_reference
        "reason": pl.String,
        "source_key": pl.String,  # draft, neighbour's study, or model version that the text is of
        "excluded": pl.List(pl.String),  # conditions on which the reference is in doubt
        "n_told": pl.Int32,  # findings of the reference
        "n_said": pl.Int32,  # findings of the text
        "credit": pl.Float64,  # weighted, of matched findings
        "told": pl.Float64,  # weight of the reference's findings
        "said": pl.Float64,
        "precision": pl.Float64,
        "recall": pl.Float64,
        "f1": pl.Float64,
        "false_positives": pl.Int32,
        "omissions": pl.Int32,
        "wrong_level": pl.Int32,
        "wrong_side": pl.Int32,
        "wrong_severity": pl.Int32,
        "edit_distance": pl.Float64,  # words, as a share of the longer text
        "rouge_l": pl.Float64,
        "bleu": pl.Float64,  # 0..1
    }
)

SCORES = pl.Schema(
    {
        "method": pl.String,
        "strictness": pl.String,  # graded | condition | level | side | severity | certainty
        "status": pl.String,  # evaluated | not_evaluable
        "reason": pl.String,
        **_COUNT,
        "n_unreadable": pl.Int32,  # of the scored ones
        "n_missing": pl.Int32,  # studies with a reference that the method has no text for
        "n_no_reference": pl.Int32,
        "n_excluded": pl.Int32,  # conditions of scored studies left out, since the reference is in doubt
        "n_told": pl.Int32,
        "n_said": pl.Int32,
        **_interval("precision", "recall", "f1", "mean_f1", "false_positives", "omissions"),
        **_interval("false_weight", "omitted_weight", "wrong_level", "wrong_side", "wrong_severity"),
        **_interval("edit_distance", "rouge_l", "bleu"),
        "weights_version": pl.String,
    }
)
"""One row per method and strictness; counts of errors are means per study, text scores stand in the graded rows."""

COMPARISONS = pl.Schema(
    {
        "method": pl.String,
        "against": pl.String,
        "measure": pl.String,  # f1 | precision | recall | mean_f1 | false_positives | omissions | rouge_l | ...
        "status": pl.String,
        "reason": pl.String,
        **_COUNT,  # that both have
        "value": pl.Float64,
        "against_value": pl.Float64,
        **_interval("difference", "ratio"),
        "ratio_reason": pl.String,  # why there is no ratio beside an evaluated difference
    }
)

CONDITIONS = pl.Schema(
    {
        "method": pl.String,
        "condition": pl.String,  # "all": the mean over the evaluated ones
        "score": pl.String,  # probability of the claim | text: 1 where the text affirms it, else 0
        "status": pl.String,
        "reason": pl.String,
        **_COUNT,
        "n_positive": pl.Int32,
        "n_conditions": pl.Int32,  # of "all"; else null
        **_interval("auroc"),
        "true_positives": pl.Int32,  # of the text
        "false_positives": pl.Int32,
        "false_negatives": pl.Int32,
    }
)

PERTURBATIONS = pl.Schema(
    {
        "kind": pl.String,  # drop | add | flip_side | move_level | swap_severity | hedge
        "expected": pl.String,
        "status": pl.String,
        "reason": pl.String,
        "n_studies": pl.Int32,
        "n_tried": pl.Int32,
        "n_right": pl.Int32,  # f1 fell, and the rest moved as expected
        "f1_after": pl.Float64,  # mean; before it is 1
        "precision_change": pl.Float64,
        "recall_change": pl.Float64,
        "false_positives_change": pl.Float64,
        "omissions_change": pl.Float64,
    }
)

JUDGED = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "method": pl.String,
        "side_of": pl.String,  # draft: a finding of the text; reference: a finding of the study's own report
        "position": pl.Int32,  # from 1; null in the one row of a study without an answer
        "finding": pl.String,  # in words, as it was asked about
        "condition": pl.String,
        "level": pl.String,
        "side": pl.String,
        "severity": pl.String,
        "certainty": pl.String,
        "verdict": pl.String,  # draft: supported | contradicted | unsupported; reference: supported | omitted
        "error": pl.String,  # none | minor | significant | critical
        "outcome": pl.String,  # answered, or why there is no verdict
        "model": pl.String,
        "prompt_version": pl.String,
    }
)

JUDGEMENTS = pl.Schema(
    {
        "method": pl.String,
        "status": pl.String,  # evaluated | not_evaluable
        "reason": pl.String,  # no language model is configured, ...
        "model": pl.String,
        **_COUNT,
        "n_unanswered": pl.Int32,
        "n_findings": pl.Int32,
        **_interval("supported", "false_positives", "contradicted", "omissions", "significant"),
    }
)
"""Per method: share of the text's findings that hold, and errors per study, by a language model's verdicts."""

READERS = pl.Schema(
    {
        "reader": pl.String,
        "study_key": pl.String,
        "draft_key": pl.String,
        "status": pl.String,  # read | unknown_draft | other_study
        "score": pl.String,  # 1, 2a .. 4b
        "discrepancy": pl.Int32,  # 1 .. 4
        "significant": pl.Boolean,  # b: likely to matter clinically; null for 1
        "corrected": pl.Boolean,  # a corrected text was given
        "n_words": pl.Int32,  # of the draft
        "words_changed": pl.Int32,  # Levenshtein distance in words; null without a corrected text
        "edit_distance": pl.Float64,  # the same as a share of the longer text
        "removed": pl.Int32,  # findings of the draft that the reader took out
        "added": pl.Int32,  # findings that the reader put in
        "changed": pl.Int32,  # findings whose level, side, severity or certainty the reader changed
    }
)
"""One row per reading. What the reader wrote stays in the reader's own file."""

RADPEER = pl.Schema(
    {
        "measure": pl.String,  # share | significant | edit_distance | kappa | alpha | readings
        "reader": pl.String,  # all, or one
        "other": pl.String,  # of a kappa
        "score": pl.String,  # 1, 2a .. 4b; of share and edit_distance
        "status": pl.String,
        "reason": pl.String,
        "n": pl.Int32,  # readings; of kappa and alpha drafts that two or more read
        "value": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
    }
)
