"""Annotated boxes and points in the pixels of a preprocessed slice, and what of a patch map lies in them.

Belongs here: annotations by slice, widening, how a map and boxes overlap. Does not belong here: what box an annotation
is (``localization.targets``, so that saliency and localization are judged by the same boxes), saliency (``saliency``),
which slices are judged (``judge``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from spine_models.config import LocalizationSettings
from spine_models.findings.localization.rectangles import corners
from spine_models.findings.localization.targets import build_targets

SHARES: Final = ("cx", "cy", "bw", "bh")


class Box(NamedTuple):
    """Edges in pixels of a square slice; pixel 0 spans 0 to 1."""

    top: float
    left: float
    bottom: float
    right: float


def annotated_slices(
    annotations: pl.DataFrame, slices: pl.DataFrame, splits: pl.DataFrame, *, points: LocalizationSettings
) -> pl.DataFrame:
    """Boxes and points of findings with the row of the slice that they lie in.

    The rule is localization's: a point is a square of a fixed length in the patient, by condition, around the middle of
    its pixel, and counts where its study's label of the same condition, side and level is moderate or severe. What
    that rule cannot use (a slice without pixel spacing for a point, a box beside its slice) is left out.

    Args:
        annotations: deid.ANNOTATIONS; a point, which names no frame, lies in its instance's first.
        slices: shards.SLICES.
        splits: patient_key and split.
        points: the length of the squares.

    Returns:
        shards.SLICES of the annotated slices with ``marks``, a list of structs of condition and box (cx, cy, bw, bh
        in shares of the slice), sorted by slice key.

    Raises:
        ValueError: a condition that is none of the versioned list.
    """
    found = build_targets(annotations, slices, splits, settings=points).frame.filter("positive")
    marks = found.group_by("slice_key").agg(marks=pl.struct("condition", *SHARES).sort())
    return slices.join(marks, on="slice_key", how="inner").sort("slice_key")


def slice_boxes(row: Mapping[str, Any], condition: str) -> list[Box]:
    """Boxes of a condition in the slice's own pixels.

    Args:
        row: of ``annotated_slices``.
        condition: whose boxes.
    """
    found = []
    for mark in row["marks"]:
        if mark["condition"] == condition:
            left, top, right, bottom = corners(np.array([mark[name] for name in SHARES])) * row["size_px"]
            found.append(Box(float(top), float(left), float(bottom), float(right)))
    return found


def coverage(boxes: Sequence[Box], grid: tuple[int, int], size_px: int, *, widen: float) -> np.ndarray:
    """Share of every patch that any of the boxes covers, float64 [h, w] in 0 .. 1.

    Args:
        boxes: in pixels of a slice.
        grid: rows and columns of patches, which cover the slice evenly.
        size_px: edge of the slice.
        widen: patches that every box is widened by on each side.
    """
    # Exact for one box; of several, the union on a grid of 16 x 16 points a patch.
    fine = 16
    covered = np.zeros((grid[0] * fine, grid[1] * fine), dtype=bool)
    patch = (size_px / grid[0], size_px / grid[1])
    if len(boxes) == 1:
        box = boxes[0]
        down = _overlap(grid[0], box.top / patch[0] - widen, box.bottom / patch[0] + widen)
        across = _overlap(grid[1], box.left / patch[1] - widen, box.right / patch[1] + widen)
        return np.outer(down, across)
    rows = (np.arange(grid[0] * fine) + 0.5) / fine
    columns = (np.arange(grid[1] * fine) + 0.5) / fine
    for box in boxes:
        inside = (rows >= box.top / patch[0] - widen) & (rows < box.bottom / patch[0] + widen)
        beside = (columns >= box.left / patch[1] - widen) & (columns < box.right / patch[1] + widen)
        covered |= np.outer(inside, beside)
    return covered.reshape(grid[0], fine, grid[1], fine).mean(axis=(1, 3))


def pointing(found: np.ndarray, inside: np.ndarray) -> float:
    """Whether the highest patch is one of the boxes' (pointing game, Zhang 2018); of equally high ones the share."""
    return float(inside[found == found.max()].mean())


def mass_lift(found: np.ndarray, covered: np.ndarray) -> float | None:
    """Share of the positive saliency inside the boxes over their share of the slice; None where there is none."""
    positive = np.clip(found, 0.0, None)
    area = covered.mean()
    if positive.sum() <= 0 or area <= 0:
        return None
    return float((positive * covered).sum() / positive.sum() / area)


def patches_in(covered: np.ndarray) -> np.ndarray:
    """Patches, bool [h, w], of which a box covers at least half; of boxes too small for any, the most covered."""
    return covered >= min(0.5, float(covered.max()))


def _overlap(cells: int, low: float, high: float) -> np.ndarray:
    """Length of [low, high] in each cell [i, i + 1]."""
    starts = np.arange(cells, dtype=np.float64)
    return np.clip(np.minimum(starts + 1.0, high) - np.maximum(starts, low), 0.0, 1.0)
