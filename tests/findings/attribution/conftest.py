"""Heads fitted on a made-up cohort, and batches of slices whose pools are studies of that cohort's kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from spine_models.config import ProbeSettings
from spine_models.corpus.shards.tables import SLICES as SHARD_SLICES
from spine_models.findings.embeddings import pool_series, pool_studies
from spine_models.findings.embeddings.tables import SLICES
from spine_models.findings.probes.heads import Heads, fit_heads, load_heads

DIM = 12


@dataclass
class Batch:
    slices: pl.DataFrame
    series: pl.DataFrame
    studies: pl.DataFrame
    shards: pl.DataFrame


def batch_of(plan: list[tuple[str, str, str, int]], *, seed: int = 0, dim: int = DIM) -> Batch:
    """Slices of (study, series, route, number) with random vectors, pooled as the pipeline pools them."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "batch_key": "internal-0001",
            "patient_key": f"p-{study}",
            "study_key": study,
            "series_key": series,
            "slice_key": f"{series}{i:02d}-0000",
            "route": route,
            "plane": "sagittal",
            "encoder": f"dinov3-{route}",
            "model_version": f"m-{route}",
            "preprocessing_version": "p1",
            "pixel_hash": "h",
            "vector": rng.normal(size=dim).tolist(),
        }
        for study, series, route, n in plan
        for i in range(n)
    ]
    slices = pl.DataFrame(rows, schema=SLICES)
    series = pool_series(slices)
    shards = pl.DataFrame(
        [{name: row[name] for name in ("study_key", "series_key", "slice_key", "route")} for row in rows],
        schema_overrides={"study_key": pl.String},
    )
    shards = shards.with_columns(contrast=pl.col("route").str.to_uppercase())
    assert set(shards.columns) <= set(SHARD_SLICES)
    return Batch(slices, series, pool_studies(series), shards)


PLAN = [
    ("both", "both-a", "t1", 3),
    ("both", "both-b", "t2", 5),
    ("both", "both-c", "t2", 1),
    ("lone", "lone-a", "t2", 4),
    ("pair", "pair-a", "t1", 2),
    ("pair", "pair-b", "t1", 6),
]


@pytest.fixture
def batch() -> Batch:
    """A study with T1 and two T2 series, one with a single series, one with two series of T1."""
    return batch_of(PLAN)


@pytest.fixture
def heads(cohort, tmp_path: Path) -> Heads:
    """Heads of canal and edema for every sequence set."""
    made = cohort(signal=1.5, dim=DIM)
    settings = ProbeSettings(bootstrap=20, regularisation=(1e-2, 1e-1))
    fit_heads(made.vectors, made.labels, made.splits, settings=settings, out=tmp_path / "heads")
    return load_heads(tmp_path / "heads")
