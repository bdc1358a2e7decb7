"""A level on a slice against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from spine_models.config import LocalizationSettings
from spine_models.findings.levelwise.glances import COLUMNS, FINE, FULL, ROWS, appearance, glances_of, rows_of
from tests.findings.levelwise.conftest import SETTINGS

RNG = np.random.default_rng(0)


def bilinear(image: np.ndarray, y: float, x: float) -> float:
    """Value between the pixels around (y, x); 0 beyond the centres of the outermost pixels."""
    total = 0.0
    if not (0 <= y <= image.shape[0] - 1 and 0 <= x <= image.shape[1] - 1):
        return total
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            weight = max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
            if weight > 0:
                total += weight * float(image[row, column])
    return total


def plain_appearance(image, share, edge_mm, settings) -> np.ndarray:
    size = len(image)
    per_mm = size / edge_mm
    high, wide = settings.levelwise.height_mm / ROWS, settings.levelwise.width_mm / COLUMNS
    out = np.zeros((ROWS, COLUMNS))
    for i in range(ROWS):
        for j in range(COLUMNS):
            for a in range(FINE[0]):
                for b in range(FINE[1]):
                    down = (i + (a + 0.5) / FINE[0]) * high - settings.levelwise.height_mm / 2
                    across = (j + (b + 0.5) / FINE[1]) * wide - settings.levelwise.width_mm / 2
                    y, x = share * size - 0.5 + down * per_mm, size / 2 - 0.5 + across * per_mm
                    out[i, j] += bilinear(image, y, x) / 65535 / (FINE[0] * FINE[1])
    return out.ravel()


def test_appearance_is_the_mean_of_points_around_the_level():
    ramp = (np.arange(48)[:, None] * 900 + np.arange(48)[None, :] * 300).astype(np.uint16)
    shares = np.array([0.5, 0.31])
    found = appearance(ramp, shares, 96.0, SETTINGS)
    assert (found.shape, found.dtype) == ((2, ROWS * COLUMNS), np.float32)
    for n, share in enumerate(shares):
        np.testing.assert_allclose(found[n], plain_appearance(ramp, share, 96.0, SETTINGS), atol=1e-6)
    # Of a ramp the mean is the value in the middle: half a slice down and across lies between pixels 23 and 24.
    assert found[0].mean() == pytest.approx(23.5 * (900 + 300) / FULL, rel=1e-5)
    # A height moves the patch by as many rows as it lies lower: 0.19 of 48 rows.
    np.testing.assert_allclose(found[0] - found[1], 0.19 * 48 * 900 / FULL, atol=1e-5)


def test_what_lies_beside_the_slice_is_dark():
    image = np.full((48, 48), 65535, np.uint16)
    found = appearance(image, np.array([0.05]), 96.0, SETTINGS).reshape(ROWS, COLUMNS)
    np.testing.assert_allclose(found.ravel(), plain_appearance(image, 0.05, 96.0, SETTINGS), atol=1e-6)
    assert (found[0] == 0).all()
    np.testing.assert_allclose(found[-1], 1.0)
    wide = LocalizationSettings(levelwise={"height_mm": 4.0, "width_mm": 140.0})
    noise = RNG.integers(0, 65536, (48, 48)).astype(np.uint16)
    at = appearance(noise, np.array([0.5]), 96.0, wide)[0]
    np.testing.assert_allclose(at, plain_appearance(noise, 0.5, 96.0, wide), atol=1e-6)
    assert (at.reshape(ROWS, COLUMNS)[:, [0, 1, -2, -1]] == 0).all()


@pytest.mark.parametrize(("high", "wide"), [(6, 8), (1, 3), (14, 14)])
def test_rows_are_read_between_patches(high, wide):
    tokens = RNG.normal(size=(high, wide, 5)).astype(np.float32)
    shares = np.array([0.001, 0.03, 0.2, 0.5, 0.51, 0.999])
    found = rows_of(tokens, shares)
    assert (found.shape, found.dtype) == ((6, 2, 5), np.float32)
    centres = (np.arange(high) + 0.5) / high
    columns = range(wide // 4, wide - wide // 4)
    for n, share in enumerate(shares):
        row = np.array([[np.interp(share, centres, tokens[:, c, d]) for d in range(5)] for c in columns])
        np.testing.assert_allclose(found[n, 0], row.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(found[n, 1], row.max(axis=0), atol=1e-6)


def test_a_slice_shows_the_levels_inside_it_alone_whatever_way_up():
    image, tokens = (
        RNG.integers(0, 65536, (48, 48)).astype(np.uint16),
        RNG.normal(size=(6, 6, 3)).astype(np.float32),
    )
    levels = {"L3": 20.0, "L4": -20.0, "high": 47.0, "low": -46.0}
    up = glances_of(image, tokens, {"top_mm": 48.5, "bottom_mm": -47.5}, levels, SETTINGS)
    assert list(up) == ["L3", "L4"]
    share = (48.5 - 20.0) / 96
    np.testing.assert_array_equal(up["L3"].pixels, appearance(image, np.array([share]), 96.0, SETTINGS)[0])
    np.testing.assert_array_equal(up["L3"].tokens, rows_of(tokens, np.array([share]))[0])
    # The same image turned over, with its heights.
    down = glances_of(image[::-1], tokens[::-1], {"top_mm": -47.5, "bottom_mm": 48.5}, levels, SETTINGS)
    assert list(down) == ["L3", "L4"]
    for level in down:
        np.testing.assert_allclose(
            down[level].pixels.reshape(ROWS, COLUMNS),
            up[level].pixels.reshape(ROWS, COLUMNS)[::-1],
            atol=1e-6,
        )
        np.testing.assert_allclose(down[level].tokens, up[level].tokens, atol=1e-6)
    assert (
        glances_of(image, None, {"top_mm": 48.5, "bottom_mm": -47.5}, levels, SETTINGS)["L4"].tokens is None
    )
    assert glances_of(image, tokens, {"top_mm": 248.5, "bottom_mm": 152.5}, levels, SETTINGS) == {}
