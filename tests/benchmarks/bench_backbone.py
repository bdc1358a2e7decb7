"""Backbone: what reduced precision and batched crops save in one training step, and the step beside a plain one.

Belongs here: ratios of two ways to the same result, timed in turns. Does not belong here: absolute times.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from plain_step import plain_step
from timing import in_turns

from spine_models.config import BackboneSettings, load_profile
from spine_models.encoder.backbone.augment import MultiCrop
from spine_models.encoder.backbone.one_step import Step, build_step, random_crops

ROUNDS = 5

COMPARISON = BackboneSettings(
    dim=192,
    depth=6,
    heads=3,
    patch_px=16,
    image_px=112,
    local_px=48,
    global_crops=2,
    local_crops=4,
    batch_size=16,
    prototypes=1024,
    head_hidden=512,
    head_bottleneck=128,
)
"""The published recipe at the size at which its implementations are compared on two cores."""


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

    def one_by_one() -> None:
        for index, seed in enumerate(seeds):
            multi_crop(slices[index : index + 1], [seed])

    reduced, full = _step(settings, "bfloat16"), _step(settings, "float32")
    full_ratio, crop_share = in_turns(
        ROUNDS, lambda: reduced(crops), lambda: full(crops), lambda: multi_crop(slices, seeds)
    )
    (singly,) = in_turns(ROUNDS, lambda: multi_crop(slices, seeds), one_by_one)
    return [
        ("backbone: precision of a step", full_ratio, "float32 / bfloat16"),
        ("backbone: share of the crops", crop_share, "making a batch's crops / a step on them"),
        ("backbone: batched crops", singly, "slice by slice / a batch at once"),
        *_comparison(),
    ]


def _comparison() -> list[tuple[str, float, str]]:
    """The same arithmetic by the book, in float32, without and with stochastic depth."""
    rows = []
    for title, rate in (("tiny", 0.0), ("tiny, drop path 0.3", 0.3)):
        settings = COMPARISON.model_copy(update={"drop_path": rate})
        crops = random_crops(settings)
        plain = plain_step(settings)
        ways = [_step(settings, precision) for precision in ("float32", "bfloat16")]
        times = in_turns(ROUNDS, lambda: plain(crops), *(lambda way=way: way(crops) for way in ways))  # noqa: B023
        rows += [
            (f"backbone: step, {title}, {precision}", 1 / ratio, "by the book in float32 / ours")
            for precision, ratio in zip(("float32", "bfloat16"), times, strict=True)
        ]
    return rows


def _step(settings: BackboneSettings, precision: str) -> Step:
    return build_step(settings.model_copy(update={"precision": precision}))
