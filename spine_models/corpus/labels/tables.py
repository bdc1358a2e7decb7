"""Schemas of labels: every mention, one row per study and condition per labeller, and the consensus."""

import polars as pl

MENTIONS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "report_key": pl.String,
        "labeller": pl.String,
        "condition": pl.String,
        "status": pl.String,  # present | absent | ambiguous
        "level": pl.String,  # canonical disc "L4-L5" or vertebra "L4"; null
        "side": pl.String,
        "severity": pl.String,
        "evidence": pl.String,  # verbatim: report_text[evidence_start:evidence_end]
        "evidence_start": pl.Int32,
        "evidence_end": pl.Int32,
    }
)

LABELS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "report_key": pl.String,
        "labeller": pl.String,
        "labeller_version": pl.String,
        "condition": pl.String,
        "status": pl.String,
        "label": pl.Int8,  # 1, 0, -1
        "level": pl.String,  # of the most severe mention
        "levels": pl.List(pl.String),
        "side": pl.String,
        "severity": pl.String,
        "evidence": pl.String,
        "evidence_start": pl.Int32,
        "evidence_end": pl.Int32,
    }
)

CONSENSUS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
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
    }
)
