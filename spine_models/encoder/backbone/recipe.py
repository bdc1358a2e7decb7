"""What a pretraining run builds and writes, so that one loop trains more than one kind of encoder.

Belongs here: the recipe and that of a single route's ViT. Does not belong here: the loop (train), other kinds' recipes,
which lie with those kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.encoder import WEIGHTS, save_encoder
from spine_models.encoder.backbone.network import Network


@dataclass(frozen=True)
class Recipe:
    """What a run trains and writes; the default is a ViT of one route.

    Attributes:
        build: the student on the CPU, drawn from the global generator.
        save: write the teacher's backbone into a folder; the flag says whether training came to its end.
        weights: name of the weights file that ``save`` writes beside its config.
        name: of the card.
        identity: JSON that a resumed run must share, and that goes onto the card.
        keeps_heads: whether the heads are published too (``heads``), for a stage that goes on with them.
    """

    build: Callable[[], Network]
    save: Callable[[Path, nn.Module, bool], object]
    weights: str
    name: str
    identity: dict[str, Any] = field(default_factory=dict)
    keeps_heads: bool = False


def single_route(settings: BackboneSettings, route: str) -> Recipe:
    """The recipe of one route's ViT."""
    return Recipe(
        build=lambda: Network(settings),
        save=lambda folder, backbone, trained: save_encoder(
            folder, backbone, settings, route=route, trained=trained
        ),
        weights=WEIGHTS,
        name=f"dinov3-{route}",
        keeps_heads=True,
    )
