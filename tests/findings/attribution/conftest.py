"""Heads of a made-up cohort, batches of slices that pool to studies of its kind, encoders too small to learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from spine_models.config import BackboneSettings, ProbeSettings
from spine_models.corpus.shards.tables import SLICES as SHARD_SLICES
from spine_models.encoder.backbone.encoder import Encoder
from spine_models.encoder.backbone.vit import Backbone
from spine_models.encoder.synthesizer.encode import Synthesizer
from spine_models.encoder.synthesizer.files import Fused
from spine_models.encoder.synthesizer.fused import FusedEncoder
from spine_models.findings.attribution.sight import Sight, SliceHead
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


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def batch() -> Batch:
    """A study with T1 and two T2 series, one with a single series, one with two series of T1."""
    return batch_of(PLAN)


@pytest.fixture
def make_slice() -> Callable[..., np.ndarray]:
    return slice_array


@pytest.fixture
def make_head() -> Callable[..., SliceHead]:
    return slice_head


@pytest.fixture
def heads(cohort, tmp_path: Path) -> Heads:
    """Heads of canal and edema for every sequence set."""
    made = cohort(signal=1.5, dim=DIM)
    settings = ProbeSettings(bootstrap=20, regularisation=(1e-2, 1e-1))
    fit_heads(made.vectors, made.labels, made.splits, settings=settings, out=tmp_path / "heads")
    return load_heads(tmp_path / "heads")


TINY = {
    "model": "vit_small_patch16_dinov3",
    "image_px": 32,
    "patch_px": 8,
    "dim": 32,
    "depth": 2,
    "heads": 2,
    "registers": 2,
    "mlp": "gelu",
    "layer_scale": 1.0,
    "drop_path": 0.0,
    "local_crops": 0,
}


def tiny_backbone(seed: int) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = Backbone(BackboneSettings(**TINY))
        torch.nn.init.normal_(backbone.mask_token, std=0.5)
    return backbone


def tiny_encoder(route: str) -> Encoder:
    return Encoder(tiny_backbone(7), route=route, version=f"m-{route}", trained=True, image_px=32)


def tiny_synthesizer() -> Synthesizer:
    fused = FusedEncoder(tiny_backbone(7), tiny_backbone(8), "conditional", hidden=8, image_px=32)
    return Synthesizer(Fused(fused, "m-other", True))


@pytest.fixture(params=["t2", "other"])
def sight(request: pytest.FixtureRequest) -> Sight:
    """An encoder of a route of its own, and the synthesizer of the rest."""
    encoder = tiny_synthesizer() if request.param == "other" else tiny_encoder(request.param)
    return Sight(encoder, batch_size=8)


def slice_head(dim: int = 96, *, seed: int = 0, constant: float = -0.5) -> SliceHead:
    rng = np.random.default_rng(seed)
    return SliceHead("canal", "t2", constant, rng.normal(size=dim), rng.normal(size=dim) / 8)


def slice_array(seed: int = 0, size: int = 32) -> np.ndarray:
    """A noisy disc."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    disc = 30000.0 * (np.hypot(rows - size / 3, columns - size / 2) < size / 5)
    return (disc + rng.uniform(0, 20000, (size, size))).astype(np.uint16)
