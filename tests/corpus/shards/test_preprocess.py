from __future__ import annotations

import numpy as np
import pytest

from spine_models.config import ShardSettings
from spine_models.corpus.shards import (
    preprocess,
    preprocessing_version,
    to_output_px,
    to_patient_mm,
    to_source_px,
)
from spine_models.corpus.shards.preprocess import series_window


def row_of(result, shape, spacing=None, **place):
    return {
        "slice_key": "s",
        "scale": result.scale,
        "pad_top_px": result.pad_top_px,
        "pad_left_px": result.pad_left_px,
        "pixel_spacing_mm": spacing,
        "iop": place.get("iop"),
        "ipp_mm": place.get("ipp"),
    }


def blob(shape, centre):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * 3.0**2)).astype(np.float32)


def centroid(array):
    weights = array.astype(np.float64)
    rows, columns = np.indices(array.shape)
    return np.array([(rows * weights).sum(), (columns * weights).sum()]) / weights.sum()


def test_a_square_image_of_the_right_size_only_meets_the_window():
    pixels = np.arange(16 * 16, dtype=np.float32).reshape(16, 16)
    result = preprocess(pixels, (0.0, 255.0), 16)
    assert result.array.dtype == np.uint16
    assert (result.scale, result.pad_top_px, result.pad_left_px) == (1.0, 0.0, 0.0)
    np.testing.assert_array_equal(result.array, np.rint(pixels / 255 * 65535).astype(np.uint16))


def test_more_than_256_grey_values_survive():
    pixels = np.arange(64 * 64, dtype=np.float32).reshape(64, 64)
    assert len(np.unique(preprocess(pixels, (0.0, 4095.0), 64).array)) == 4096


@pytest.mark.parametrize("shape", [(100, 60), (60, 100), (37, 101)])
def test_nothing_is_cropped_and_the_padding_is_background(shape):
    pixels = np.full(shape, 100.0, dtype=np.float32)
    result = preprocess(pixels, (0.0, 100.0), 50)
    inside = result.array > 0
    covered = np.array([inside.any(1).sum(), inside.any(0).sum()])
    expected = np.array(shape) * result.scale
    assert np.all(np.abs(covered - expected) <= 2)
    assert result.array[0, 0] == (65535 if shape[0] == shape[1] else 0)
    mass = result.array.sum() / 65535
    assert mass == pytest.approx(expected.prod(), rel=0.01)


@pytest.mark.parametrize(
    ("shape", "spacing", "centre"),
    [
        ((80, 80), None, (20, 60)),
        ((90, 50), None, (70, 11)),
        ((51, 88), (0.7, 0.7), (15, 70)),
        ((40, 80), (2.0, 1.0), (30, 15)),
        ((80, 40), (0.5, 1.25), (16, 28)),
    ],
)
@pytest.mark.parametrize("size", [32, 61, 160])
def test_the_index_says_where_a_spot_went(shape, spacing, centre, size):
    result = preprocess(blob(shape, centre), (0.0, 1.0), size, spacing_mm=spacing)
    row = row_of(result, shape, spacing)
    found = centroid(result.array)
    np.testing.assert_allclose(to_output_px(row, np.array([centre]))[0], found, atol=0.25)
    np.testing.assert_allclose(to_source_px(row, found[None])[0], centre, atol=0.6)


def test_pixels_come_out_isotropic():
    # A disc of 20 mm on a grid that is twice as coarse between rows.
    rows, columns = np.mgrid[:50, :100]
    disc = (((rows - 24.5) * 2.0) ** 2 + (columns - 49.5) ** 2 < 20**2).astype(np.float32)
    out = preprocess(disc, (0.0, 1.0), 100, spacing_mm=(2.0, 1.0)).array > 32767
    assert out.any(1).sum() == pytest.approx(40, abs=2)
    assert out.any(0).sum() == pytest.approx(40, abs=2)


def test_shrinking_averages_instead_of_picking():
    stripes = np.zeros((64, 64), dtype=np.float32)
    stripes[:, ::2] = 1.0
    out = preprocess(stripes, (0.0, 1.0), 16).array[2:-2, 2:-2]
    assert out.min() > 0.45 * 65535
    assert out.max() < 0.55 * 65535


def test_clipped_pixels_are_counted():
    pixels = np.zeros((10, 10), dtype=np.float32)
    pixels[0, :3] = 50.0
    pixels[1, :2] = -50.0
    assert preprocess(pixels, (-10.0, 10.0), 10).clipped_fraction == pytest.approx(0.05)


def test_a_reversed_window_inverts():
    pixels = np.arange(100, dtype=np.float32).reshape(10, 10)
    upright = preprocess(pixels, (0.0, 99.0), 10).array.astype(int)
    inverted = preprocess(pixels, (99.0, 0.0), 10).array.astype(int)
    assert np.abs(upright + inverted - 65535).max() <= 1


def test_round_trip_of_points_is_exact():
    result = preprocess(np.ones((33, 77), dtype=np.float32), (0.0, 2.0), 48, spacing_mm=(0.9, 0.4))
    row = row_of(result, (33, 77), [0.9, 0.4])
    points = np.random.default_rng(0).uniform(-3, 50, (40, 2))
    np.testing.assert_allclose(to_output_px(row, to_source_px(row, points)), points, atol=1e-10)


def test_patient_coordinates_follow_the_standard():
    iop, ipp, spacing = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0], [-7.0, -50.0, 40.0], [0.9, 0.4]
    result = preprocess(np.ones((33, 77), dtype=np.float32), (0.0, 2.0), 48, spacing_mm=(0.9, 0.4))
    row = row_of(result, (33, 77), spacing, iop=iop, ipp=ipp)
    source = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 20.0]])
    found = to_patient_mm(row, to_output_px(row, source))
    expected = [[-7, -50, 40], [-7, -50, 40 - 9.0], [-7, -50 + 8.0, 40]]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_slice_without_a_position_has_no_place_in_the_patient():
    result = preprocess(np.ones((20, 20), dtype=np.float32), (0.0, 2.0), 20)
    with pytest.raises(ValueError, match="iop, ipp_mm"):
        to_patient_mm(row_of(result, (20, 20)), np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("pixels", "window", "message"),
    [
        (np.zeros((2, 3, 4)), (0, 1), "two dimensions"),
        (np.zeros((4, 4)), (1, 1), "empty"),
        (np.full((4, 4), np.nan), (0, 1), "finite"),
    ],
)
def test_bad_input_is_named(pixels, window, message):
    with pytest.raises(ValueError, match=message):
        preprocess(pixels, window, 8)


def test_the_high_end_ignores_blanked_pixels():
    values = np.concatenate([np.zeros(1001), np.arange(1, 1001)])
    distinct, counts = np.unique(values, return_counts=True)
    measured = np.where(distinct == 0, 0, counts)
    low, high = series_window([(distinct, counts, measured)], ShardSettings(window_high_percentile=90.0))
    assert (low, high) == (0.0, 900.0)


def test_the_window_merges_groups_of_slices():
    one, other = np.array([10.0, 20.0]), np.array([5.0, 40.0])
    counts = np.array([1, 1])
    parts = [(one, counts, counts), (other, counts, counts)]
    settings = ShardSettings(window_low_percentile=0.0, window_high_percentile=100.0)
    assert series_window(parts, settings) == (5.0, 40.0)


def test_a_constant_series_has_no_window():
    assert series_window([(np.array([3.0]), np.array([9]), np.array([9]))], ShardSettings()) is None


def test_only_numbers_that_change_pixels_change_the_version():
    assert preprocessing_version(ShardSettings(workers=1)) == preprocessing_version(ShardSettings(workers=7))
    assert preprocessing_version(ShardSettings(size_px=64)) != preprocessing_version(
        ShardSettings(size_px=65)
    )
    changed = ShardSettings(window_high_percentile=99.0)
    assert preprocessing_version(changed) != preprocessing_version(ShardSettings())
