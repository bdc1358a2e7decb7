"""Where on a slice a condition lies: a heat map over patch tokens and a regression of the box around its peak.

One head per condition and route. A logistic map says of every patch whether the finding is there; a ridge regression
says from a patch's token where the centre lies and how large the box is. The box is the mean of what the peak of the
heat map and its neighbours say, weighted by their odds, so that it is finer than the grid of patches; where the map is
flat, all patches have a say and the box tends to where findings are on average.

Belongs here: labels of patches, the two fits, reading a box off a map. Does not belong here: encoding, choice among
candidates (``fit``), boxes without annotations (``weak``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spine_models.findings.localization.rectangles import corners
from spine_models.findings.localization.slices import LinearMap, by_plane, fit_maps
from spine_models.findings.probes.logistic import Basis

PLACES = 18
"""Number of position features of a patch."""

REACHES = (1, 99)
"""How many patches around the peak have a say: its neighbours, or all."""

SMALLEST = 1e-3
"""Least width and height of a box, in shares of the slice's edge."""


@dataclass(frozen=True)
class Samples:
    """Patches that heads learn from.

    Attributes:
        features: float32 [N, F].
        heat: 1 on a box, 0 off it, -1 where a box only touches [N].
        offsets: centre less the patch's centre, in patches, and log width and height in shares of the slice, [N, 4];
            NaN off the boxes.
    """

    features: np.ndarray
    heat: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class BoxHead:
    """Heat maps (one column a strength) and regressions [F, 4] (one a ridge) of one condition and route.

    ``reach`` is how many patches around the peak have a say.
    """

    heat: LinearMap
    shapes: tuple[LinearMap, ...]
    reach: int = 1

    def read(self, tokens: np.ndarray, plane: str) -> tuple[np.ndarray, float]:
        """The box [4] on a slice of ``tokens`` [h, w, D] and the heat logit of its peak, by the first candidates."""
        features = patch_features(tokens, plane)
        heat = self.heat(features)[:, 0].reshape(tokens.shape[:2])
        return box_of(heat, self.shapes[0](features), self.reach), float(heat.max())

    def read_all(self, tokens: np.ndarray, plane: str) -> np.ndarray:
        """Boxes [K, R, 2, 4] of every strength, ridge and reach of ``REACHES``."""
        features = patch_features(tokens, plane)
        heat = self.heat(features)
        said = [shape(features) for shape in self.shapes]
        grid = tokens.shape[:2]
        return np.array(
            [[[box_of(column.reshape(grid), one, n) for n in REACHES] for one in said] for column in heat.T]
        )


def box_of(heat: np.ndarray, said: np.ndarray, reach: int) -> np.ndarray:
    """The box [4] that the patches within ``reach`` of the peak say together.

    Args:
        heat: logits [h, w].
        said: ``Samples.offsets`` of every patch [h * w, 4].
        reach: patches on each side of the peak.
    """
    grid = heat.shape
    y, x = np.unravel_index(int(np.argmax(heat)), grid)
    rows, columns = np.mgrid[
        max(0, y - reach) : min(grid[0], y + reach + 1), max(0, x - reach) : min(grid[1], x + reach + 1)
    ].reshape(2, -1)
    places = rows * grid[1] + columns
    weight = np.exp(heat.ravel()[places] - heat.max())
    weight /= weight.sum()
    edge = np.array([grid[1], grid[0]], dtype=np.float64)
    centres = (np.stack([columns, rows], axis=1) + 0.5 + said[places, :2]) / edge
    centre = (weight @ centres).clip(0.0, 1.0)
    size = np.exp((weight @ said[places, 2:]).clip(np.log(SMALLEST), 0.0))
    return np.concatenate([centre, size])


def patch_centres(grid: tuple[int, int]) -> np.ndarray:
    """(x, y) of every patch's centre in shares of the slice, [h * w, 2], row by row."""
    y, x = np.meshgrid(*((np.arange(n) + 0.5) / n for n in grid), indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


def patch_features(tokens: np.ndarray, plane: str) -> np.ndarray:
    """Features [h * w, D + 18] of tokens [h, w, D]: the token, then 1, x, y and their products by plane."""
    grid = (tokens.shape[0], tokens.shape[1])
    x, y = (2 * patch_centres(grid) - 1).T
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    flat = tokens.reshape(len(x), -1)
    return np.hstack([flat, by_plane(np.full(len(x), plane), terms)]).astype(np.float32)


def patch_labels(grid: tuple[int, int], boxes: np.ndarray) -> np.ndarray:
    """1, 0 or -1 of every patch [h * w] given the boxes [B, 4] on the slice.

    A patch is on a box where it holds its centre or shares at least half of the smaller of the two areas; a patch
    that shares less is left out.
    """
    height, width = 1 / grid[0], 1 / grid[1]
    centres = patch_centres(grid)
    labels = np.zeros(len(centres), dtype=np.int8)
    for box in boxes:
        left, top, right, bottom = corners(box)
        shared_x = np.minimum(right, centres[:, 0] + width / 2) - np.maximum(left, centres[:, 0] - width / 2)
        shared_y = np.minimum(bottom, centres[:, 1] + height / 2) - np.maximum(
            top, centres[:, 1] - height / 2
        )
        shared = shared_x.clip(min=0) * shared_y.clip(min=0)
        share = shared / max(min(width * height, box[2] * box[3]), 1e-12)
        x, y = (min(int(at * n), n - 1) for at, n in ((box[0], grid[1]), (box[1], grid[0])))
        on = share >= 0.5
        on[y * grid[1] + x] = True
        labels = np.where(on, 1, np.where((share > 0) & (labels == 0), -1, labels)).astype(np.int8)
    return labels


def patch_offsets(grid: tuple[int, int], boxes: np.ndarray) -> np.ndarray:
    """What every patch would have to say of the box nearest to it, as ``Samples.offsets`` [h * w, 4]."""
    edge = np.array([grid[1], grid[0]], dtype=np.float64)
    away = (boxes[None, :, :2] - patch_centres(grid)[:, None]) * edge
    near = np.abs(away).max(axis=2).argmin(axis=1)
    chosen = away[np.arange(len(away)), near]
    sizes = np.log(boxes[near, 2:].clip(min=SMALLEST))
    return np.hstack([chosen, sizes])


def sample_patches(
    tokens: np.ndarray, plane: str, boxes: np.ndarray, *, negatives: int, rng: np.random.Generator
) -> Samples:
    """Patches of one annotated slice: all that are on a box, which learn to point to it, and ``negatives`` off it."""
    grid = (tokens.shape[0], tokens.shape[1])
    heat, offsets = patch_labels(grid, boxes), patch_offsets(grid, boxes)
    offsets[heat != 1] = np.nan
    drawn = rng.permutation(np.flatnonzero(heat == 0))[:negatives]
    kept = np.sort(np.concatenate([np.flatnonzero(heat == 1), drawn]))
    return Samples(patch_features(tokens, plane)[kept], heat[kept], offsets[kept])


def fit_box_head(
    samples: list[Samples], *, strengths: tuple[float, ...], ridges: tuple[float, ...]
) -> BoxHead | None:
    """Heat maps for every strength and regressions for every ridge; None where all patches are on a box or none is."""
    features = np.concatenate([s.features for s in samples])
    heat = np.concatenate([s.heat for s in samples])
    offsets = np.concatenate([s.offsets for s in samples])
    if not (heat == 1).any() or not (heat == 0).any():
        return None
    near = np.isfinite(offsets[:, 0])
    return BoxHead(
        fit_maps(features[heat >= 0], heat[heat >= 0], strengths, free=PLACES),
        fit_ridges(features[near], offsets[near], ridges),
    )


def fit_ridges(
    features: np.ndarray,
    values: np.ndarray,
    ridges: tuple[float, ...],
    weights: np.ndarray | None = None,
) -> tuple[LinearMap, ...]:
    """Ridge regressions of values [N, K] on standardised features [N, F], one per penalty.

    The penalty of ridge r is r times the sum of all squared standardised features: at 1 every direction shrinks to less
    than half. ``weights`` [N] of rows default to 1; features and values are centred on their weighted means, as an
    intercept without a penalty is.
    """
    basis = Basis.of(features)
    weight = np.ones(len(values)) if weights is None else weights / weights.mean()
    mean = (weight[:, None] * values).sum(axis=0) / weight.sum()
    # The basis is centred on the plain mean; what the weights move is taken off here and given back in the bias.
    middle = (weight[:, None] * basis.rows).sum(axis=0) / weight.sum()
    rows = (basis.rows - middle) * np.sqrt(weight)[:, None]
    gram, cross = rows.T @ rows, rows.T @ ((values - mean) * np.sqrt(weight)[:, None])
    total = float(np.trace(gram)) or 1.0
    maps = []
    for ridge in ridges:
        inside = np.linalg.solve(gram + ridge * total * np.eye(len(gram)), cross)
        raw = (basis.directions @ inside) / basis.scale[:, None]
        maps.append(LinearMap(raw, mean - basis.mean @ raw - middle @ inside))
    return tuple(maps)
