"""Annotated boxes and points in the pixels of a preprocessed slice, and what of a patch map lies in them.

Belongs here: from pixels of the source frame to those of the slice, widening, how a map and boxes overlap. Does not
belong here: saliency (``saliency``), which slices are judged (``judge``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from spine_models.corpus.shards.place import to_output_px


class Box(NamedTuple):
    """Edges in pixels of a square slice; pixel 0 spans 0 to 1."""

    top: float
    left: float
    bottom: float
    right: float


def annotated_slices(annotations: pl.DataFrame, slices: pl.DataFrame) -> pl.DataFrame:
    """Boxes and points of findings with the row of the slice that they lie in.

    A box is of a finding that is there. A point marks a place whether or not anything is found there: it counts where
    the label of its study, condition, side and level is moderate or severe.

    Args:
        annotations: deid.ANNOTATIONS; a point, which names no frame, lies in its instance's first.
        slices: shards.SLICES.

    Returns:
        shards.SLICES of the annotated slices with ``marks``, a list of structs of condition, x, y, w, h (w and h null
        for points), sorted by slice key.
    """
    place = ["study_key", "condition", "side", "level"]
    held = annotations.filter(pl.col("kind").is_in(["box", "point", "label"]))
    found = held.filter((pl.col("kind") == "label") & (pl.col("grade") >= 1)).select(place).unique()
    points = held.filter(pl.col("kind") == "point").join(found, on=place, how="semi", nulls_equal=True)
    marks = (
        pl.concat([held.filter(pl.col("kind") == "box"), points])
        .filter(pl.col("x").is_finite(), pl.col("y").is_finite())
        .with_columns(pl.col("frame").fill_null(0))
        .group_by("instance_key", "frame")
        .agg(marks=pl.struct("condition", "x", "y", "w", "h").sort())
    )
    return slices.join(marks, on=["instance_key", "frame"], how="inner").sort("slice_key")


def slice_boxes(row: Mapping[str, Any], condition: str, *, point_half_mm: float) -> list[Box]:
    """Boxes of a condition in the slice's own pixels, cut off at its edge; those outside are left out.

    A point becomes a square of twice ``point_half_mm``, or of a tenth of the slice where its spacing is not known.

    Args:
        row: of ``annotated_slices``.
        condition: whose boxes.
        point_half_mm: half the edge of a point's square.
    """
    size = float(row["size_px"])
    spacing = row["output_spacing_mm"]
    half = point_half_mm / spacing if spacing else 0.05 * size
    found = []
    for mark in row["marks"]:
        if mark["condition"] != condition:
            continue
        if mark["w"] is None or mark["h"] is None:
            # Of points, x and y are pixels from the left and the top, as edges are.
            ((y, x),) = edges_to_slice(row, [(mark["y"], mark["x"])])
            box = Box(y - half, x - half, y + half, x + half)
        else:
            corners = [(mark["y"], mark["x"]), (mark["y"] + mark["h"], mark["x"] + mark["w"])]
            (top, left), (bottom, right) = edges_to_slice(row, corners)
            box = Box(top, left, bottom, right)
        box = Box(max(box.top, 0.0), max(box.left, 0.0), min(box.bottom, size), min(box.right, size))
        if box.bottom > box.top and box.right > box.left:
            found.append(box)
    return found


def edges_to_slice(row: Mapping[str, Any], edges: Sequence[tuple[float, float]]) -> np.ndarray:
    """Edges (row, column) of the source frame in pixels of the slice, float64 [N, 2].

    ``place`` counts from the centre of the first pixel, edges from its corner: half a pixel between them.
    """
    return to_output_px(row, np.asarray(edges, dtype=np.float64) - 0.5) + 0.5


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
