"""Schemas of drafts and of their sentences."""

import polars as pl

DRAFTS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "region": pl.String,
        "template_version": pl.String,
        "draft_key": pl.String,  # digest of the text and its claims
        "n_sentences": pl.Int32,
        "report_text": pl.String,
    }
)

SENTENCES = pl.Schema(
    {
        "batch_key": pl.String,
        "study_key": pl.String,
        "draft_key": pl.String,
        "sentence_key": pl.String,
        "section": pl.String,
        "position": pl.Int32,
        "text": pl.String,
        "kind": pl.String,  # finding | negative | not_assessed | technique | notice
        "claim_keys": pl.List(pl.String),  # empty only for technique and notice
    }
)

NIGHTS = pl.Schema(
    {
        "night": pl.String,  # day on which the refresh began, UTC
        "started_at": pl.Datetime("us"),  # UTC
        "trigger": pl.String,  # command | schedule
        "generation": pl.String,
        "batch_key": pl.String,  # null: of the whole lake
        "stage": pl.String,
        "job": pl.String,
        "reasons": pl.List(pl.String),
        "seconds": pl.Float64,  # of the job, also where it made several stages; null where only requested
        "outcome": pl.String,  # refreshed | failed | requested | waits
    }
)
