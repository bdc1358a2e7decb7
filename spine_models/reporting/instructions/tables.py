"""Schemas of instruction items and what was refused, of the benchmark and its scores, of the contamination check."""

import polars as pl

_TURN = pl.Struct({"question": pl.String, "answer": pl.String})

ITEMS = pl.Schema(
    {
        "item_key": pl.String,  # digest of study, kind, dimension, condition and place: not of its words
        "kind": pl.String,  # long | short | choice | report | multi_turn
        "dimension": pl.String,  # condition | level | side | severity | next_sequence | report
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "report_key": pl.String,  # the report that the evidence stands in
        "region": pl.String,
        "condition": pl.String,  # null for reports
        "status": pl.String,  # of the condition by the labels: present | absent | ambiguous; null for reports
        "level": pl.String,  # what the evidence tells of its place; null where it tells none
        "side": pl.String,
        "severity": pl.String,
        "sequence": pl.String,  # "<plane> <contrast>" of next_sequence
        "asks": pl.List(pl.String),  # what each turn asks: condition, level, side, severity, statement, ...
        "turns": pl.List(_TURN),  # what a model sees and should say; options are written out in the question
        "question": pl.String,  # of the first turn, without options
        "answer": pl.String,  # of the last turn; of a choice the right option
        "options": pl.List(pl.String),  # of a choice, in the order shown; else null
        "correct": pl.Int32,  # 0-based place of the right option; else null
        "evidence": pl.String,  # verbatim: report_text[evidence_start:evidence_end]
        "evidence_start": pl.Int32,
        "evidence_end": pl.Int32,
        "writer": pl.String,  # templates, or the model
        "prompt_version": pl.String,  # of templates or prompts, with the digest of their files
        "labels_version": pl.String,  # labellers and a digest of the study's 17 labels
        "draft": pl.String,  # first stage: question and answer before they were revised
        "template": pl.String,  # of the question, as in words.yaml; null where a model wrote
        "seed": pl.Int64,
        "verified": pl.Boolean,
        "rejected_reason": pl.String,  # null where verified
    }
)
"""In ``instructions/items`` every row is verified; ``instructions/refused`` has the others, each with its reason."""

BENCHMARK = pl.Schema({**ITEMS, "split": pl.String})

BENCHMARK_SCORES = pl.Schema(
    {
        "dimension": pl.String,  # as in ITEMS; all; of reports "report: SECTION" and "report: all"
        "answerer": pl.String,  # agents | prior | a model
        "measure": pl.String,  # accuracy | f1
        "n": pl.Int64,  # questions, or reports
        "n_patients": pl.Int64,
        "answered": pl.Float64,  # share with an answer; what is not answered is not right
        "score": pl.Float64,
        "low": pl.Float64,  # 95 % bootstrap interval over patients; null below two patients
        "high": pl.Float64,
        "chance": pl.Float64,  # mean of one over the number of options; null for reports
    }
)

CONTAMINATION = pl.Schema(
    {
        "rule": pl.String,
        "meaning": pl.String,
        "first": pl.Int64,  # things on the side of the items
        "second": pl.Int64,  # things on the side of test and benchmark
        "overlap": pl.Int64,  # must be 0
    }
)
