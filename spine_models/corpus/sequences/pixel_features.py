"""Numbers of a few slices that tell contrasts apart wherever the spine lies: no segmentation, no registration.

Belongs here: from intensities to one fixed vector per series. Does not belong here: decoding, the model.

What they rest on: air, cortical bone and fluid take fixed places in the order of intensities of each weighting; the fat
under the skin is the rim of the body and is dark only where it is suppressed; fluid in the canal is the only long thin
structure, bright on T2 and dark on T1; diffusion images are coarse and smooth, maps have no noise in air.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

PIXEL_FEATURES_VERSION: Final = "1"
"""Changes with every change of the vector; a model of another version is refused."""

_EDGE: Final = 96
_BINS: Final = 12
_PERCENTILES: Final = (2, 10, 25, 50, 75, 90, 98)
_BLOCKS: Final = 6
_TINY: Final = 1e-6

_PER_SLICE: Final = (
    "body", "zeros", "low_integers",
    *(f"p{p}" for p in _PERCENTILES),
    "skew", "kurtosis",
    *(f"bin{i}" for i in range(_BINS)),
    "air", "air_spread", "edges", "edges_coarse", "grain", "texture_low", "texture_high",
    "rim", "rim_left", "rim_right", "rim_top", "rim_bottom", "centre",
    "line_bright", "line_dark", "line_balance", "bar_bright", "bar_dark",
    "log_size", "aspect",
)  # fmt: skip
NAMES: Final[tuple[str, ...]] = (
    *_PER_SLICE,
    *(f"spread:{name}" for name in ("p50", "rim", "line_bright", "line_dark", "body")),
    "sagittal",
    "axial",
    "coronal",
)
"""Meaning of each number of the vector."""


def pixel_features(slices: Sequence[np.ndarray], planes: Sequence[str]) -> np.ndarray:
    """The vector ``[len(NAMES)]``, float32, of one series.

    Args:
        slices: one to a few images ``[H, W]`` of source intensities, any scale.
        planes: their planes; a series that mixes them says so by its shares.
    """
    each = np.stack([_slice_features(image) for image in slices])
    spread = each.std(axis=0)
    at = [_PER_SLICE.index(name) for name in ("p50", "rim", "line_bright", "line_dark", "body")]
    shares = [sum(p == plane for p in planes) / max(len(planes), 1) for plane in ("sagittal", "axial", "coronal")]
    return np.concatenate([each.mean(axis=0), spread[at], shares]).astype(np.float32)


def _slice_features(image: np.ndarray) -> np.ndarray:
    raw = np.nan_to_num(image.astype(np.float32))
    small = _reduced(raw)
    bright = float(np.percentile(small, 99.5)) - float(small.min())
    unit = np.clip((small - small.min()) / max(bright, _TINY), 0, 1.5)
    smooth = _box(unit, 5)
    body = smooth > 0.5 * _threshold(smooth)
    inside = unit[body] if body.sum() > 20 else unit.ravel()
    spread = float(inside.std()) + _TINY
    centred = (inside - inside.mean()) / spread
    air = unit[~body] if (~body).sum() > 20 else np.zeros(1, dtype=np.float32)
    gx, gy = np.diff(unit, axis=1), np.diff(unit, axis=0)
    coarse = _box(unit, 3)[::3, ::3]
    tiles = _tiles(unit)
    level = float(np.median(inside)) + 0.05
    histogram = np.histogram(inside, bins=_BINS, range=(0, 1))[0] / max(len(inside), 1)
    values = [
        float(body.mean()), float((raw == 0).mean()), float(np.log1p(raw.max())),
        *np.percentile(inside, _PERCENTILES).tolist(),
        float((centred**3).mean()), float(np.clip((centred**4).mean(), 0, 50)),
        *histogram.tolist(),
        float(air.mean()) / level, float(air.std()) / level,
        float(np.abs(gx).mean() + np.abs(gy).mean()) / level,
        float(np.abs(np.diff(coarse, axis=1)).mean() + np.abs(np.diff(coarse, axis=0)).mean()) / level,
        float(np.abs(unit - _box(unit, 3))[body].mean()) / level if body.any() else 0.0,
        float(np.percentile(tiles, 25)) / level, float(np.percentile(tiles, 85)) / level,
        *_rim(unit, body, level), *_lines(unit, level),
        float(np.log(max(image.shape))), image.shape[0] / image.shape[1],
    ]  # fmt: skip
    return np.array(values, dtype=np.float32)


def _reduced(image: np.ndarray) -> np.ndarray:
    """Block means with about `_EDGE` pixels along the longer edge, so that resolution matters little."""
    step = max(1, round(max(image.shape) / _EDGE))
    rows, columns = image.shape[0] // step * step, image.shape[1] // step * step
    blocks = image[:rows, :columns].reshape(rows // step, step, columns // step, step)
    return blocks.mean(axis=(1, 3))


def _threshold(image: np.ndarray) -> float:
    """Otsu's threshold of values in 0 to 1.5."""
    counts, edges = np.histogram(image, bins=64, range=(0, 1.5))
    middle = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    mass = np.cumsum(counts * middle)
    mean_below = mass / np.maximum(below, 1)
    mean_above = (mass[-1] - mass) / np.maximum(above, 1)
    return float(middle[int((below * above * (mean_below - mean_above) ** 2).argmax())])


def _box(image: np.ndarray, size: int) -> np.ndarray:
    """Running mean over ``size`` by ``size`` pixels, edges repeated."""
    half = size // 2
    padded = np.pad(image, ((half + 1, half), (half + 1, half)), mode="edge")
    total = padded.cumsum(axis=0).cumsum(axis=1)
    return (total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]) / size**2


def _tiles(image: np.ndarray) -> np.ndarray:
    rows, columns = image.shape[0] // 8 * 8, image.shape[1] // 8 * 8
    if not rows or not columns:
        return np.array([float(image.std())])
    return image[:rows, :columns].reshape(rows // 8, 8, columns // 8, 8).std(axis=(1, 3)).ravel()


def _rim(unit: np.ndarray, body: np.ndarray, level: float) -> list[float]:
    """Brightness of the outermost parts of the body against its inside, as a whole and from four sides."""
    depth = max(2, min(unit.shape) // 16)
    inner = _box(body.astype(np.float32), 2 * depth + 1) > 0.98
    rim = body & ~inner
    whole = float(unit[rim].mean()) if rim.any() else 0.0
    deep = float(unit[inner].mean()) if inner.any() else whole
    sides = []
    for view, mask in ((unit, rim), (unit[:, ::-1], rim[:, ::-1]), (unit.T, rim.T), (unit.T[:, ::-1], rim.T[:, ::-1])):
        half = view.shape[1] // 2
        part = mask[:, :half]
        sides.append(float(np.percentile(view[:, :half][part], 75)) / level if part.any() else 0.0)
    return [whole / level, *sides, deep / level]


def _lines(unit: np.ndarray, level: float) -> list[float]:
    """Strength of thin bright and dark structures running down the image, and across it, in its middle part."""
    found = []
    for view in (unit, unit.T):
        width = max(3, view.shape[1] // 10) | 1
        narrow = _box(view, 3)
        wide = _box(view, width)
        contrast = (narrow - wide)[:, view.shape[1] // 6 : -(view.shape[1] // 6) or None]
        strips = np.array_split(contrast, _BLOCKS, axis=0)
        profiles = np.stack([strip.mean(axis=0) for strip in strips])
        found.append((float(np.median(profiles.max(axis=1))) / level, float(np.median(-profiles.min(axis=1))) / level))
    (bright, dark), (bar_bright, bar_dark) = found
    return [bright, dark, (bright - dark) / (bright + dark + _TINY), bar_bright, bar_dark]
