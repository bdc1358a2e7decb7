"""Schemas of the report model: curves, whom it saw, whether it is fit for drafts, what it wrote and chose."""

import polars as pl

CURVES = pl.Schema(
    {
        "step": pl.Int32,
        "epoch": pl.Int32,
        "loss": pl.Float64,  # nats a token that is to be written
        "tokens": pl.Int32,  # that were to be written
        "lr": pl.Float64,
        "grad_norm": pl.Float64,  # NaN for a skipped step
        "val_loss": pl.Float64,  # on reports of val studies, with what the agents say; null between evaluations
    }
)

SEEN = pl.Schema(
    {
        "patient_key": pl.String,
        "study_key": pl.String,
        "role": pl.String,  # train: weights were fitted to it, or its report was shown; held_out: measured on it
    }
)
"""One row a study and role that a training read; no rows where nothing was trained."""

FITNESS = pl.Schema(
    {
        "condition": pl.String,  # null: of all
        "n_studies": pl.Int32,  # val studies with such a claim
        "n_claims": pl.Int32,  # claims of val studies that the model was given
        "n_said": pl.Int32,  # of them, those that its text says
        "n_added": pl.Int32,  # findings of its texts that no claim is behind
    }
)
"""What the tuned model makes of claims on studies that it was not trained on."""

WRITTEN = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "conditioning": pl.String,  # agents
        "text": pl.String,  # empty where there is a reason
        "n_tokens": pl.Int32,
        "stopped": pl.Boolean,  # False: cut at the largest number of tokens
        "model_version": pl.String,
        "reason": pl.String,  # why there is no text; null where there is
    }
)
"""One row a study of a batch."""

ANSWERS = pl.Schema(
    {
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "split": pl.String,  # val | test
        "conditioning": pl.String,  # image_only | agents
        "text": pl.String,
        "n_tokens": pl.Int32,
        "stopped": pl.Boolean,
        "model_version": pl.String,
        "reason": pl.String,
    }
)
"""One row a study and conditioning; no rows where nothing was trained."""

BENCHMARK_ANSWERS = pl.Schema(
    {
        "item_key": pl.String,
        "batch_key": pl.String,
        "patient_key": pl.String,
        "study_key": pl.String,
        "dimension": pl.String,  # as in instructions.BENCHMARK
        "answerer": pl.String,  # report_model, with what the agents say | report_model_image_only
        "chosen": pl.Int32,  # 0-based option; null where there is a reason
        "nats": pl.List(
            pl.Float64
        ),  # negative log likelihood of each option as the answer; null where there is a reason
        "model_version": pl.String,  # null where there is no model
        "reason": pl.String,  # why nothing was chosen; null where something was
    }
)
"""One row a choice of the benchmark and answerer."""
