"""Two small encoders with different weights on disk, and what a training with reports starts from."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from spine_models.config import (
    BackboneSettings,
    ClipSettings,
    SynthesizerSettings,
)
from spine_models.encoder.backbone.encoder import save_encoder
from spine_models.encoder.backbone.vit import Backbone
from spine_models.encoder.clip.train import train_clip
from spine_models.encoder.clip.vectors import slice_vectors, stored_studies
from tests.encoder.clip.conftest import TINY
from tests.encoder.clip.sharded import make_sharded
from tests.encoder.clip.test_vectors import Quadrants
from tests.encoder.synthesizer.aligning import World

CLIP = {"epochs": 30, "batch_size": 16, "lr": 1e-2, "evaluate_every": 1000, "checkpoint_every": 1000}


class Folders(NamedTuple):
    t1: Path
    t2: Path


def drawn(settings: BackboneSettings, seed: int) -> Backbone:
    """A backbone with a mask token that is not zero, as after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = Backbone(settings)
        torch.nn.init.normal_(backbone.mask_token)
    return backbone


@pytest.fixture
def pair(settings: BackboneSettings) -> tuple[Backbone, Backbone]:
    return drawn(settings, 1), drawn(settings, 2)


@pytest.fixture(scope="session")
def folders(settings: BackboneSettings, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    root = tmp_path_factory.mktemp("encoders")
    for seed, route in ((1, "t1"), (2, "t2")):
        save_encoder(root / route, drawn(settings, seed), settings, route=route, trained=True)
    return Folders(root / "t1", root / "t2")


@pytest.fixture(scope="session")
def synthesizer() -> SynthesizerSettings:
    return SynthesizerSettings(
        hidden=8,
        batch_size=4,
        steps=6,
        warmup_steps=1,
        lr=1e-2,
        teacher_temperature_steps=3,
        checkpoint_every=2,
        probe_every=3,
    )


@pytest.fixture(scope="session")
def world(tmp_path_factory, folders):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("align")
    sharded = make_sharded(root / "shards", 11, 8)
    aligned = make_sharded(root / "aligned", 40, 8, seed=1)  # more studies, so that the texts are told apart
    encoders = {route: Quadrants(route) for route in ("t1", "t2")}
    vectors = slice_vectors(aligned.slices, aligned.roots, encoders, root / "vectors", max_slices=6)
    train, val = (stored_studies(vectors, aligned.reports, split=split) for split in ("train", "val"))
    settings = ClipSettings.model_validate(TINY | CLIP)
    train_clip(settings, train, val, root / "clip", parents=vectors.parents)
    world = World(sharded, folders, root / "clip", root, train)
    torch.set_num_threads(threads)
    return world


@pytest.fixture(scope="session")
def whole(world, tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = world.align(tmp_path_factory.mktemp("whole") / "out")
    torch.set_num_threads(threads)
    return result
