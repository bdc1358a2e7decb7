"""Schemas of drafts and their sentences, of what a model wrote in vain, and of where a sentence comes from."""

import polars as pl

DRAFTS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "region": pl.String,
        "template_version": pl.String,
        "agent_version": pl.String,  # of the claims
        "writer": pl.String,  # templates, or the version of the report model
        "reason": pl.String,  # why templates; null where a model wrote
        "prior_study_key": pl.String,  # that it is compared with; null: no comparison in it
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
        "level": pl.String,  # of a line that is about one level
        "text": pl.String,
        "kind": pl.String,  # finding | negative | undetermined | not_assessed | comparison | technique | notice
        "linked_by": pl.String,  # template | matched (a model's) | added (the template's, beside a model's)
        "claim_keys": pl.List(pl.String),  # empty only for technique and notice
        "prior_claim_keys": pl.List(pl.String),  # of the earlier study; empty but for comparison
        "evidence": pl.List(pl.String),  # slice_key of each place that it says, best first
    }
)

REMOVED = pl.Schema(
    {
        "batch_key": pl.String,
        "study_key": pl.String,
        "draft_key": pl.String,
        "position": pl.Int32,  # among the removed
        "section": pl.String,  # heading that it stood under; null before the first
        "text": pl.String,
        "condition": pl.String,  # that no claim says so; null where it names none
        "reason": pl.String,
        "model_version": pl.String,
    }
)
"""Sentences that a model wrote and no claim carries."""

PROVENANCE = pl.Schema(
    {
        "batch_key": pl.String,
        "study_key": pl.String,
        "sentence_key": pl.String,
        "claim_key": pl.String,
        "agent": pl.String,
        "agent_version": pl.String,
        "condition": pl.String,
        "place": pl.Int32,  # 1 the best; null: the claim is about the study as a whole
        "level": pl.String,
        "side": pl.String,
        "severity": pl.String,
        "supervision": pl.String,  # supervised | weak
        "series_key": pl.String,
        "slice_key": pl.String,
        "instance_key": pl.String,
        "frame": pl.Int32,
        "box": pl.Struct(
            {"x": pl.Float64, "y": pl.Float64, "w": pl.Float64, "h": pl.Float64}
        ),  # source pixels
        "centre_mm": pl.List(pl.Float64),  # LPS
        "model_versions": pl.List(pl.String),
    }
)
"""One row per sentence, claim and place; one without a place where a sentence says none of a claim."""

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
