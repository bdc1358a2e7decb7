from __future__ import annotations

import numpy as np
import pytest

from spine_models.encoder.backbone.masking import batch_masks, block_mask


def masks(n=64, grid=(14, 14), seed=0, **changes):
    wanted = {"probability": 0.5, "ratio": (0.1, 0.5)} | changes
    return batch_masks(n, grid, generator=np.random.default_rng(seed), **wanted)


def test_half_of_the_images_over_the_whole_range():
    drawn = masks().float().mean(dim=1)
    shares = drawn[drawn > 0].sort().values
    assert len(shares) == 32
    assert shares[0] >= 0.09
    assert shares[-1] <= 0.5
    assert shares[0] < 0.12
    assert shares[-1] > 0.47
    assert (drawn[:32] > 0).any()
    assert (drawn[32:] > 0).any()


def test_exactly_the_number_asked_for():
    generator = np.random.default_rng(0)
    for wanted in (1, 3, 4, 17, 40, 49):
        assert block_mask(7, 7, wanted, generator).sum() == wanted


def test_masks_are_blocks_not_dust():
    generator = np.random.default_rng(1)
    touching = []
    for _ in range(50):
        mask = block_mask(14, 14, 60, generator)
        right = (mask[:, 1:] & mask[:, :-1]).sum() / mask[:, 1:].sum()
        touching.append(right)
    assert np.mean(touching) > 0.6  # 60 of 196 single patches would touch with probability 0.3


def test_deterministic_and_extremes():
    assert (masks(seed=3) == masks(seed=3)).all()
    assert not (masks(seed=3) == masks(seed=4)).all()
    assert masks(probability=0.0).sum() == 0
    assert masks(n=1).sum() == 0
    assert (masks(probability=1.0, ratio=(1.0, 1.0)).float().mean(dim=1) == 1).all()
    assert masks(ratio=(0.0, 0.0)).sum(dim=1).max() == 1


@pytest.mark.parametrize("grid", [(2, 2), (4, 2), (1, 6)])
def test_tiny_grids(grid):
    assert masks(n=8, grid=grid).shape == (8, grid[0] * grid[1])
