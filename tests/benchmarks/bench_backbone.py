"""Backbone: what reduced precision and batched crops save in one training step.

Belongs here: ratios of two ways to the same result, timed in turns. Does not belong here: absolute times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))

from timing import in_turns

from spine_models.config import BackboneSettings, load_profile
from spine_models.encoder.backbone.augment import Crops, MultiCrop
from spine_models.encoder.backbone.masking import batch_masks
from spine_models.encoder.backbone.network import Network
from spine_models.encoder.backbone.objective import objective
from spine_models.encoder.backbone.optim import GuardedAdamW
from spine_models.encoder.backbone.teacher import make_teacher, update_teacher

ROUNDS = 5


def bench() -> list[tuple[str, float, str]]:
    """All ratios; above 1 the second way is faster."""
    settings = load_profile("phantom").backbone
    rng = np.random.default_rng(0)
    slices = rng.integers(0, 65536, (settings.batch_size, settings.image_px, settings.image_px)).astype(
        np.uint16
    )
    multi_crop = MultiCrop(settings)
    seeds = range(len(slices))
    crops = multi_crop(slices, seeds)
    step = _step(settings, crops)
    full = _step(settings.model_copy(update={"precision": "float32"}), crops)

    def one_by_one() -> None:
        for index, seed in enumerate(seeds):
            multi_crop(slices[index : index + 1], [seed])

    full_ratio, crop_share = in_turns(ROUNDS, step, full, lambda: multi_crop(slices, seeds))
    (singly,) = in_turns(ROUNDS, lambda: multi_crop(slices, seeds), one_by_one)
    return [
        ("backbone: precision of a step", full_ratio, "float32 / bfloat16"),
        ("backbone: share of the crops", crop_share, "making a batch's crops / a step on them"),
        ("backbone: batched crops", singly, "slice by slice / a batch at once"),
    ]


def _step(settings: BackboneSettings, crops: Crops) -> Callable[[], None]:
    torch.manual_seed(0)
    student = Network(settings).train()
    teacher, optimiser = make_teacher(student), GuardedAdamW(student, settings)
    n_images = crops.global_crops.shape[0] * crops.global_crops.shape[1]
    masks = batch_masks(
        n_images,
        student.backbone.grid(*crops.global_crops.shape[-2:]),
        probability=settings.mask_probability,
        ratio=settings.mask_ratio,
        generator=np.random.default_rng(0),
    )

    def step() -> None:
        losses = objective(student, teacher, crops, masks, settings, temperature=settings.teacher_temperature)
        optimiser.step(losses.total, 1e-4)
        update_teacher(teacher, student, settings.ema_momentum)

    return step
