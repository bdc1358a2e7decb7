"""Schemas of the agent registry and of typed claims."""

import polars as pl

REGISTRY = pl.Schema(
    {
        "agent": pl.String,  # diagnosis/<condition>
        "kind": pl.String,
        "condition": pl.String,
        "version": pl.String,
        "inputs": pl.List(pl.String),
        "trained": pl.Boolean,
        "auroc_cv": pl.Float64,
        "auroc_test": pl.Float64,
    }
)

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
        "reason": pl.String,  # why not_assessed, or why a guard made it indeterminate; null otherwise
        "probability": pl.Float64,
        "confidence": pl.Float64,  # 0..1, distance of the probability from one half, doubled
        "level": pl.String,  # null: this agent does not localise
        "side": pl.String,
        "severity": pl.String,
        "sequence_set": pl.String,
        "model_versions": pl.List(pl.String),
        "source_series": pl.List(pl.String),
        "source_instances": pl.List(pl.String),
    }
)
