from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch

from spine_models.encoder.backbone import augment
from spine_models.encoder.backbone.augment import MultiCrop, blur, crop_grid, jitter_intensity, to_unit


def noise(n: int = 4, size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (n, size, size)).astype(np.uint16)


def plain(settings, **changes):
    return settings.model_copy(
        update={"jitter_probability": 0.0, "blur_probability": (0.0, 0.0, 0.0), "rotation_degrees": 0.0}
        | changes
    )


def test_shapes_range_and_determinism(settings):
    crops = MultiCrop(settings)(noise(), [1, 2, 3, 4])
    assert crops.global_crops.shape == (2, 4, 1, 32, 32)
    assert crops.local_crops.shape == (1, 4, 1, 16, 16)
    assert crops.global_crops.min() >= 0
    assert crops.global_crops.max() <= 1
    again = MultiCrop(settings)(noise(), [1, 2, 3, 4])
    assert torch.equal(crops.global_crops, again.global_crops)
    assert torch.equal(crops.local_crops, again.local_crops)
    assert MultiCrop(settings.model_copy(update={"local_crops": 0}))(noise(1), [1]).local_crops is None


def test_a_sample_does_not_depend_on_its_batch_mates(settings):
    whole = MultiCrop(settings)(noise(), [1, 2, 3, 4]).global_crops
    alone = MultiCrop(settings)(noise()[2:3], [3]).global_crops
    torch.testing.assert_close(whole[:, 2:3], alone)
    assert not torch.allclose(whole[0], whole[1])


def test_no_view_is_ever_flipped(settings):
    rng = np.random.default_rng(0)
    draws = torch.from_numpy(rng.random((2000, 5)).astype(np.float32))
    grid = crop_grid(draws, 16, (0.05, 1.0), (0.75, 4 / 3), 30.0)
    right_of = grid[:, :, -1, 0] - grid[:, :, 0, 0]  # source x of the right edge minus that of the left edge
    below = grid[:, -1, :, 1] - grid[:, 0, :, 1]
    assert (right_of > 0).all()
    assert (below > 0).all()


def test_a_bright_left_stays_left_and_a_bright_top_stays_top(settings):
    ramp = np.linspace(65535, 0, 32).astype(np.uint16)
    left = np.broadcast_to(ramp, (64, 32, 32)).copy()
    whole = settings.model_copy(update={"rotation_degrees": 10.0, "global_scale": (0.32, 1.0)})
    views = MultiCrop(whole)(left, range(64)).global_crops[:, :, 0]
    assert (views[..., 8:24, 4:12].mean(dim=(-1, -2)) > views[..., 8:24, 20:28].mean(dim=(-1, -2))).all()
    views = MultiCrop(whole)(left.transpose(0, 2, 1).copy(), range(64)).global_crops[:, :, 0]
    assert (views[..., 4:12, 8:24].mean(dim=(-1, -2)) > views[..., 20:28, 8:24].mean(dim=(-1, -2))).all()
    assert "flip" not in inspect.getsource(augment).split('"""', 2)[2]


def test_a_whole_crop_without_changes_is_the_slice(settings):
    same = plain(settings, global_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0))
    views = MultiCrop(same)(noise(), [1, 2, 3, 4]).global_crops
    torch.testing.assert_close(views[0], to_unit(noise()), atol=1e-5, rtol=0)


def test_all_sixteen_bits_arrive():
    levels = np.arange(65536, dtype=np.uint16).reshape(1, 256, 256)
    assert to_unit(levels).unique().numel() == 65536


def test_crop_areas_cover_the_scale_and_stay_inside():
    draws = torch.from_numpy(np.random.default_rng(1).random((4000, 5)).astype(np.float32))
    grid = crop_grid(draws, 64, (0.1, 0.5), (0.75, 4 / 3), 0.0)
    assert grid.abs().max() <= 1
    span_x = (grid[:, 0, -1, 0] - grid[:, 0, 0, 0]) / 2 * 64 / 63
    span_y = (grid[:, -1, 0, 1] - grid[:, 0, 0, 1]) / 2 * 64 / 63
    area, aspect = span_x * span_y, span_x / span_y
    assert area.min() == pytest.approx(0.1, abs=0.01)
    assert area.max() == pytest.approx(0.5, abs=0.01)
    assert area.mean().item() == pytest.approx(0.3, abs=0.01)
    assert aspect.log().abs().max() <= math.log(4 / 3) + 1e-4


def test_probabilities_are_of_doing_not_of_leaving(settings):
    generator = torch.Generator().manual_seed(0)
    images, draws = torch.rand(400, 1, 16, 16, generator=generator), torch.rand(400, 2, generator=generator)
    for probability in (0.0, 0.1, 0.5, 1.0):
        changed = (blur(images, draws, probability, (0.5, 2.0)) != images).flatten(1).any(dim=1)
        assert changed.float().mean().item() == pytest.approx(probability, abs=0.05)
    jittered = jitter_intensity(images, torch.rand(400, 4, generator=generator), settings)
    share = (jittered != images).flatten(1).any(dim=1).float().mean().item()
    assert share == pytest.approx(settings.jitter_probability, abs=0.06)


def test_each_view_has_its_own_blur_probability(settings):
    smooth = plain(
        settings, blur_probability=(1.0, 0.0, 0.0), blur_sigma_px=(1.5, 2.0), global_scale=(1.0, 1.0)
    )
    first, second = MultiCrop(smooth)(noise(), [1, 2, 3, 4]).global_crops
    assert first.var() < 0.2 * second.var()


def test_blur_is_a_gaussian_that_keeps_the_mean_of_a_flat_image():
    flat = torch.full((2, 1, 16, 16), 0.4)
    draws = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(blur(flat, draws, 1.0, (0.5, 2.0)), flat)
    point = torch.zeros(1, 1, 17, 17)
    point[0, 0, 8, 8] = 1.0
    out = blur(point, draws[:1], 1.0, (1.0, 1.0))[0, 0]
    assert out[8, 9].item() / out[8, 8].item() == pytest.approx(math.exp(-0.5), rel=1e-4)
    torch.testing.assert_close(out, out.T)
