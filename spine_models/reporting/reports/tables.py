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
