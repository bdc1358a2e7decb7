"""Two small encoders with different weights, on disk."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from spine_models.config import BackboneSettings, SynthesizerSettings
from spine_models.encoder.backbone.encoder import save_encoder
from spine_models.encoder.backbone.vit import Backbone


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
