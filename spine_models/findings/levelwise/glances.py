"""One level on one slice.

Its row is read twice: from the frozen encoder's patch tokens, interpolated along the rows of patches (mean and maximum
over the middle half of the columns), and from the pixels themselves, a patch of fixed size in mm reduced to 7 x 14
means.

Belongs here: reading a slice at heights. Does not belong here: several slices and levels together (``views``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.ndimage import map_coordinates

from spine_models.config import LocalizationSettings
from spine_models.findings.levelwise.places import in_view

ROWS: Final = 7
COLUMNS: Final = 14
FINE: Final = (3, 4)
"""Points that one mean of the pixels is taken over, down and across."""
FULL: Final = 65535.0


@dataclass(frozen=True)
class Glance:
    """One level on one slice.

    Attributes:
        pixels: float32 [ROWS * COLUMNS], 0..1.
        tokens: mean and maximum over the row's middle columns, float32 [2, D]; None without an encoder.
    """

    pixels: np.ndarray
    tokens: np.ndarray | None


def glances_of(
    image: np.ndarray,
    tokens: np.ndarray | None,
    row: Mapping[str, Any],
    levels: Mapping[str, float],
    settings: LocalizationSettings,
) -> dict[str, Glance]:
    """Glance by level, of those that the slice shows.

    Args:
        image: uint16 [S, S].
        tokens: float32 [h, w, D], or None.
        row: top_mm and bottom_mm of the slice.
        levels: height in mm by level.
        settings: size of the patch.
    """
    span = row["bottom_mm"] - row["top_mm"]
    down = {level: (z_mm - row["top_mm"]) / span for level, z_mm in levels.items()}
    inside = {level: share for level, share in down.items() if in_view(share)}
    if not inside:
        return {}
    shares = np.array(list(inside.values()))
    pixels = appearance(image, shares, abs(span), settings)
    strips = [None] * len(shares) if tokens is None else rows_of(tokens, shares)
    return {
        level: Glance(*both) for level, both in zip(inside, zip(pixels, strips, strict=True), strict=True)
    }


def appearance(
    image: np.ndarray, shares: np.ndarray, edge_mm: float, settings: LocalizationSettings
) -> np.ndarray:
    """Means of the pixels around levels, float32 [L, ROWS * COLUMNS] in 0..1; beside the slice it is dark.

    Args:
        image: uint16 [S, S].
        shares: heights of the levels in shares of the slice [L].
        edge_mm: height of the slice.
        settings: size of the patch in mm.
    """
    size = image.shape[0]
    numbers = settings.levelwise
    fine = (ROWS * FINE[0], COLUMNS * FINE[1])
    steps = [
        (np.arange(n) + 0.5 - n / 2) * (extent / n) * (size / edge_mm)
        for n, extent in zip(fine, (numbers.height_mm, numbers.width_mm), strict=True)
    ]
    at = np.empty((2, len(shares), *fine))
    at[0] = (shares * size - 0.5)[:, None, None] + steps[0][None, :, None]
    at[1] = (size / 2 - 0.5) + steps[1][None, None, :]
    points = map_coordinates(image.astype(np.float32), at, order=1, mode="constant", cval=0.0) / FULL
    means = points.reshape(len(shares), ROWS, FINE[0], COLUMNS, FINE[1]).mean(axis=(2, 4))
    return means.reshape(len(shares), -1).astype(np.float32)


def rows_of(tokens: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Mean and maximum over the middle half of the columns, of the tokens interpolated at heights, [L, 2, D].

    Args:
        tokens: float32 [h, w, D].
        shares: heights in shares of the slice [L].
    """
    high, wide = tokens.shape[:2]
    quarter = wide // 4
    middle = tokens[:, quarter : wide - quarter]
    at = np.clip(shares * high - 0.5, 0, high - 1)
    low = np.floor(at).astype(int)
    part = (at - low)[:, None, None]
    rows = (1 - part) * middle[low] + part * middle[np.minimum(low + 1, high - 1)]
    return np.stack([rows.mean(axis=1), rows.max(axis=1)], axis=1).astype(np.float32)
