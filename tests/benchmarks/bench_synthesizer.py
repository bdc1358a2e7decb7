"""Synthesizer: what running two encoders with gates costs beside one.

Belongs here: ratios of two forwards on the same images, timed in turns. Does not belong here: absolute times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from timing import in_turns

from spine_models.config import load_profile
from spine_models.encoder.backbone.vit import Backbone
from spine_models.encoder.synthesizer.fused import FusedEncoder

IMAGES = 32
ROUNDS = 9


def bench() -> list[tuple[str, float, str]]:
    """All ratios; 2 is two encoders and gates for nothing."""
    profile = load_profile("phantom")
    torch.manual_seed(0)
    t1, t2 = Backbone(profile.backbone).freeze(), Backbone(profile.backbone).freeze()
    images = torch.rand(IMAGES, 1, profile.backbone.image_px, profile.backbone.image_px)
    fused = [
        FusedEncoder(t1, t2, variant, hidden=profile.synthesizer.hidden).freeze()
        for variant in ("conditional", "scalar", "t1_only")
    ]
    conditional, scalar, alone = in_turns(ROUNDS, _forward(t1, images), *(_forward(f, images) for f in fused))
    return [
        ("synthesizer: conditional gates", conditional, "fused forward / one encoder"),
        ("synthesizer: scalar gates", scalar, "fused forward / one encoder"),
        ("synthesizer: T1 only", alone, "fused forward that skips T2 / one encoder"),
    ]


def _forward(encoder: nn.Module, images: torch.Tensor) -> Callable[[], object]:
    @torch.no_grad()
    def forward() -> object:
        return encoder(images)

    return forward
