"""Small networks on disk: a pair of encoders with different weights, and a synthesizer fused from them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from spine_models.config import BackboneSettings, load_profile
from spine_models.encoder.backbone.encoder import save_encoder
from spine_models.encoder.backbone.vit import Backbone
from spine_models.encoder.synthesizer.files import load_pair, save_fused
from spine_models.encoder.synthesizer.fused import FusedEncoder


class Made(NamedTuple):
    """Folders as the graph publishes them."""

    encoders: dict[str, Path]
    synthesizer: Path


def settings() -> BackboneSettings:
    return load_profile("phantom").backbone.model_copy(
        update={"image_px": 16, "patch_px": 8, "dim": 32, "depth": 2, "heads": 2}
    )


def make_encoder(folder: Path, route: str, seed: int) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        save_encoder(folder, Backbone(settings()), settings(), route=route, trained=True)
    return folder


def make_networks(root: Path, *, trained: bool = True) -> Made:
    encoders = {
        route: make_encoder(root / route, route, seed) for seed, route in enumerate(("t1", "t2"), start=1)
    }
    pair = load_pair(encoders["t1"], encoders["t2"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        fused = FusedEncoder(pair.t1.backbone, pair.t2.backbone, "conditional", hidden=8)
        for gate in fused.gates:
            torch.nn.init.normal_(gate.out.weight)
    save_fused(root / "aligned", fused, pair.versions, trained=trained)
    return Made(encoders, root / "aligned")
