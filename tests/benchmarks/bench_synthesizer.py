"""Synthesizer: what running two encoders with gates costs beside one.

Belongs here: ratios of two forwards on the same images, timed in turns. Does not belong here: absolute times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import nn

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
    conditional, scalar, alone = _in_turns(_forward(t1, images), *(_forward(f, images) for f in fused))
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


def _in_turns(first: Callable[[], object], *others: Callable[[], object]) -> list[float]:
    """Median time of each of ``others`` over that of ``first``, after one round to warm up."""
    times: list[list[float]] = [[] for _ in range(1 + len(others))]
    for turn in range(ROUNDS + 1):
        for spent, work in zip(times, (first, *others), strict=True):
            start = time.perf_counter()
            work()
            if turn:
                spent.append(time.perf_counter() - start)
    return [median(spent) / median(times[0]) for spent in times[1:]]
