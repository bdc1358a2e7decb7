"""The high-resolution twins of the global crops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from spine_models.encoder.backbone.augment import (
    MultiCrop,
    SlicesTooSmall,
    crop_grid,
    reduced,
    source_px_needed,
    to_unit,
)

SEEDS = [1, 2, 3, 4]


def smooth(size: int = 160, n: int = 4) -> np.ndarray:
    """Slices without detail finer than 16 px, other on every side."""
    coarse = torch.from_numpy(np.random.default_rng(0).random((n, 1, size // 16, size // 16)))
    fine = functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)
    return (fine.clamp(0, 1)[:, 0].numpy() * 65535).astype(np.uint16)


def box_averaged(images: np.ndarray, factor: int) -> np.ndarray:
    n, size, _ = images.shape
    blocks = images.reshape(n, size // factor, factor, size // factor, factor)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint16)


def turned(settings, **changes):
    """Small crops turned by up to 20 degrees, intensities always changed, no blur."""
    wanted = {
        "global_scale": (0.32, 1.0),
        "rotation_degrees": 20.0,
        "jitter_probability": 1.0,
        "blur_probability": (0.0, 0.0, 0.0),
    }
    return settings.model_copy(update=wanted | changes)


def test_shapes_range_and_determinism(settings):
    crops = MultiCrop(settings, 48)(smooth(), SEEDS)
    assert crops.gram_crops.shape == (2, 4, 1, 48, 48)
    assert crops.global_crops.shape == (2, 4, 1, 32, 32)
    assert crops.local_crops.shape == (1, 4, 1, 16, 16)
    for part in crops:
        assert part.dtype == torch.float32
        assert part.min() >= 0
        assert part.max() <= 1
    again = MultiCrop(settings, 48)(smooth(), SEEDS)
    assert all(map(torch.equal, crops, again))
    alone = MultiCrop(settings, 48)(smooth()[2:3], SEEDS[2:3])
    for part, own in zip(crops, alone, strict=True):
        torch.testing.assert_close(part[:, 2:3], own)
    assert MultiCrop(settings)(smooth(), SEEDS).gram_crops is None


def test_a_twin_shows_its_crops_rectangle_turned_and_changed_alike(settings):
    crops = MultiCrop(turned(settings), 64)(smooth(), SEEDS)
    down = functional.avg_pool2d(crops.gram_crops.flatten(0, 1), 2).unflatten(0, (2, 4))
    inside = (..., slice(2, -2), slice(2, -2))
    difference = (down - crops.global_crops)[inside].abs()
    assert difference.mean() < 0.005
    # Another crop of the same slice is far from that, so the bound says something.
    assert (down - crops.global_crops.flip(0))[inside].abs().mean() > 10 * difference.mean()


def test_with_twins_the_student_sees_the_crops_of_pretraining(settings):
    """Cut out of box-averaged slices, as pretraining's smaller ones are, the same seeds give the same views."""
    plain = turned(settings, local_scale=(0.2, 0.32))
    large = smooth()
    with_twins = MultiCrop(plain, 64)(large, SEEDS)
    without = MultiCrop(plain)(box_averaged(large, 5), SEEDS)
    for name in ("global_crops", "local_crops"):
        difference = (getattr(with_twins, name) - getattr(without, name)).abs()
        assert difference.mean() < 0.02, name


def test_a_twin_holds_what_the_crop_cannot(settings):
    """Stripes of 4 px vanish from a crop at a quarter of the resolution and stay in its twin."""
    stripes = np.zeros((1, 128, 128), np.uint16)
    stripes[:, :, ::4] = stripes[:, :, 1::4] = 65535
    whole = turned(
        settings, global_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), rotation_degrees=0.0, jitter_probability=0.0
    )
    crops = MultiCrop(whole, 128)(stripes, [1])
    torch.testing.assert_close(
        crops.gram_crops[0, 0, 0], torch.from_numpy(stripes[0] / 65535.0).float(), atol=1e-4, rtol=0
    )
    assert crops.gram_crops.std() > 0.4
    assert crops.global_crops.std() < 0.1
    magnified = functional.interpolate(crops.global_crops[0], size=(128, 128), mode="bicubic")
    assert magnified.std() < 0.1


def test_blur_is_the_students_alone(settings):
    sharp = turned(settings)
    blurred = turned(settings, blur_probability=(1.0, 1.0, 1.0), blur_sigma_px=(1.5, 2.0))
    a, b = (MultiCrop(wanted, 64)(smooth(), SEEDS) for wanted in (sharp, blurred))
    assert torch.equal(a.gram_crops, b.gram_crops)
    assert not torch.allclose(a.global_crops, b.global_crops)


def test_pretraining_sees_large_slices_at_the_size_of_use(settings):
    """Views of large slices are those of the same slices brought down first; smaller slices are cut as they are."""
    large = smooth()
    down = reduced(to_unit(large), settings.image_px)
    stored = (down[:, 0].clamp(0, 1).numpy() * 65535).round().astype(np.uint16)
    for ours, expected in zip(
        MultiCrop(settings)(large, SEEDS), MultiCrop(settings)(stored, SEEDS), strict=True
    ):
        if ours is not None:
            torch.testing.assert_close(ours, expected, atol=5e-3, rtol=0)
    small = np.ascontiguousarray(stored[:, :24, :24])
    assert MultiCrop(settings)(small, SEEDS).global_crops.shape[-1] == settings.image_px


def test_stripes_finer_than_the_crop_do_not_alias_in_pretraining(settings):
    stripes = np.zeros((1, 128, 128), np.uint16)
    stripes[:, :, ::4] = stripes[:, :, 1::4] = 65535
    assert MultiCrop(turned(settings))(stripes, [1]).global_crops[..., 8:-8, 8:-8].std() < 0.15


def test_too_small_slices_are_refused_and_the_needed_size_is_named(settings):
    needed = source_px_needed(settings, 48)
    assert needed == 98  # 48 / sqrt(0.32 * 0.75) = 97.98
    assert MultiCrop(settings, 48)(smooth(112), SEEDS).gram_crops is not None
    with pytest.raises(SlicesTooSmall, match=r"slices of 96 px .* 98 px are needed"):
        MultiCrop(settings, 48)(smooth(96), SEEDS)
    with pytest.raises(ValueError, match="smaller than the student's crop"):
        MultiCrop(settings, 16)


def test_no_crop_has_fewer_source_pixels_than_its_twin(settings):
    """At the needed size, neighbouring samples of any twin lie at least one pixel of the slice apart."""
    draws = torch.from_numpy(np.random.default_rng(0).random((4000, 5)).astype(np.float32))
    needed = source_px_needed(settings, 48)
    grid = crop_grid(draws, 48, settings.global_scale, settings.crop_ratio, 20.0) * needed / 2
    along_row = (grid[:, :, 1:] - grid[:, :, :-1]).norm(dim=-1)
    along_column = (grid[:, 1:] - grid[:, :-1]).norm(dim=-1)
    assert min(along_row.min(), along_column.min()) >= 1.0 - 1e-3
