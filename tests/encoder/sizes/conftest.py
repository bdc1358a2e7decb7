"""Tiny networks and one real step of each kind, to measure what the formulas say."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spine_models.config import BackboneSettings, GramSettings
from spine_models.encoder.backbone.augment import Crops
from spine_models.encoder.backbone.gram_teacher import GramTeacher
from spine_models.encoder.backbone.masking import batch_masks
from spine_models.encoder.backbone.network import Network
from spine_models.encoder.backbone.objective import objective
from spine_models.encoder.backbone.teacher import make_teacher
from spine_models.encoder.backbone.vit import Backbone
from spine_models.encoder.sizes.flops import Batch
from spine_models.encoder.sizes.shape import Shape, built, shape_of
from spine_models.encoder.synthesizer.fused import FusedEncoder

NUMBERS = {
    "model": "vit_small_patch16_dinov3",
    "dim": 64,
    "depth": 3,
    "heads": 4,
    "image_px": 64,
    "patch_px": 8,
    "drop_path": 0.3,
    "local_crops": 3,
    "local_px": 32,
    "prototypes": 512,
    "head_hidden": 64,
    "head_bottleneck": 32,
    "batch_size": 4,
    "processes": 1,
}
GRAM_PX = 96
HIDDEN = 16


class Step(NamedTuple):
    """A step that can be run, and the numbers that describe it."""

    loss: Callable[[], Tensor]
    shape: Shape
    batch: Batch
    student: Network
    owned: list[Tensor]  # weights and inputs: what a step saves beside them is activations


@pytest.fixture
def step():
    """Of a kind ("ssl", "gram" or a synthesizer's variant), with settings changed."""

    def make(kind: str, **changes: object) -> Step:
        settings = BackboneSettings.model_validate(NUMBERS | changes)
        torch.manual_seed(0)
        encoders: list[Backbone] = []
        backbone: nn.Module | None = None
        if kind not in ("ssl", "gram"):
            encoders = [Backbone(settings), Backbone(settings)]
            backbone = FusedEncoder(*encoders, kind, hidden=HIDDEN)
        student = Network(settings, backbone).train()
        teacher = make_teacher(student)
        gram = GramTeacher(student.backbone, GramSettings(px=GRAM_PX)) if kind == "gram" else None
        crops = Crops(
            torch.rand(2, 4, 1, 64, 64), torch.rand(3, 4, 1, 32, 32), torch.rand(2, 4, 1, GRAM_PX, GRAM_PX)
        )
        masks = batch_masks(8, (8, 8), probability=0.5, ratio=(0.1, 0.5), generator=np.random.default_rng(0))

        def loss() -> Tensor:
            return objective(student, teacher, crops, masks, settings, temperature=0.05, gram=gram).total

        batch = Batch(4, 2, 3, 64, 32, int(masks.sum()), 1, settings.drop_path)
        networks = [student, teacher, *encoders]
        owned = [p for network in networks for p in network.parameters()] + list(crops)
        return Step(loss, shape_of(built(settings), settings), batch, student, owned)

    return make
