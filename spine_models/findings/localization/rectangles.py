"""Boxes on preprocessed slices: their coordinates, how two agree, and where they lie in source and patient.

A box is (centre x, centre y, width, height) in shares of the slice's edge, float64 [..., 4]: 0 is the left or upper
edge of the first pixel, 1 the right or lower edge of the last.

Belongs here: arithmetic of boxes. Does not belong here: where boxes come from, scores of cohorts.
"""

from __future__ import annotations

import numpy as np
import polars as pl

GEOMETRY = ["size_px", "scale", "pad_top_px", "pad_left_px", "iop", "ipp_mm", "pixel_spacing_mm"]
"""Columns of shards.SLICES that the maps below need."""


def corners(boxes: np.ndarray) -> np.ndarray:
    """(left, top, right, bottom) of boxes [..., 4]."""
    half = boxes[..., 2:] / 2
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], axis=-1)


def from_corners(edges: np.ndarray) -> np.ndarray:
    """Boxes [..., 4] of (left, top, right, bottom)."""
    low, high = edges[..., :2], edges[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def clipped(boxes: np.ndarray) -> np.ndarray:
    """The parts of boxes [..., 4] that lie on the slice; width or height 0 where there is none."""
    return from_corners(corners(boxes).clip(0.0, 1.0))


def iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes [..., 4] and [..., 4]; 0 where both are empty."""
    a, b = corners(one), corners(other)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = np.prod(sides.clip(min=0.0), axis=-1)
    union = np.prod(one[..., 2:], axis=-1) + np.prod(other[..., 2:], axis=-1) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def normalised_error(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean absolute difference of the four numbers of boxes [..., 4], in shares of the slice's edge.

    The published system names a normalised box error without a formula; this is ours.
    """
    return np.abs(one - other).mean(axis=-1)


def contains(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether points [..., 2] lie inside boxes [..., 4]."""
    edges = corners(boxes)
    return np.all((points >= edges[..., :2]) & (points <= edges[..., 2:]), axis=-1)


def nearest(box: np.ndarray, others: np.ndarray) -> int:
    """Index of the box of ``others`` [N, 4] whose centre is nearest to that of ``box`` [4]; the first of equals."""
    return int(np.argmin(((others[:, :2] - box[:2]) ** 2).sum(axis=1)))


def stretches(slices: pl.DataFrame) -> np.ndarray:
    """Output pixels per source pixel along columns and along rows, float64 [N, 2]."""
    spacing = triples(slices["pixel_spacing_mm"], 2)
    finest = spacing.min(axis=1, keepdims=True)
    ratio = np.where(np.isfinite(spacing), spacing / finest, 1.0)
    return ratio[:, ::-1] * slices["scale"].to_numpy()[:, None]


def to_source(slices: pl.DataFrame, boxes: np.ndarray) -> np.ndarray:
    """Left edge, upper edge, width and height in pixels of the source image, of boxes [N, 4] on N slices.

    Source pixel (0, 0) spans 0 to 1, as in ``deid.annotations``; cut at the image's edges where it is padded.
    """
    factor, pad = stretches(slices), slices.select("pad_left_px", "pad_top_px").to_numpy()
    size = slices["size_px"].to_numpy().astype(np.float64)[:, None]
    edges = corners(boxes) * size
    low, high = (edges[:, :2] - pad) / factor, (edges[:, 2:] - pad) / factor
    if {"source_rows", "source_columns"} <= set(slices.columns):
        bound = slices.select("source_columns", "source_rows").to_numpy().astype(np.float64)
        low, high = np.clip(low, 0.0, bound), np.clip(high, 0.0, bound)
    return np.hstack([low, high - low])


def from_source(slices: pl.DataFrame, boxes_px: np.ndarray) -> np.ndarray:
    """Boxes [N, 4] of left edge, upper edge, width and height in source pixels on N slices."""
    factor, pad = stretches(slices), slices.select("pad_left_px", "pad_top_px").to_numpy()
    size = slices["size_px"].to_numpy().astype(np.float64)[:, None]
    low = (boxes_px[:, :2] * factor + pad) / size
    high = ((boxes_px[:, :2] + boxes_px[:, 2:]) * factor + pad) / size
    return from_corners(np.hstack([low, high]))


def centres_mm(slices: pl.DataFrame, points: np.ndarray) -> np.ndarray:
    """Patient coordinates (LPS, mm) float64 [N, 3] of points [N, 2] in shares of N slices; NaN without a place."""
    factor, pad = stretches(slices), slices.select("pad_left_px", "pad_top_px").to_numpy()
    size = slices["size_px"].to_numpy().astype(np.float64)[:, None]
    # Source coordinates with pixel centres at whole numbers, as positions in the header mean them.
    source = (points * size - pad) / factor - 0.5
    spacing, iop = triples(slices["pixel_spacing_mm"], 2), triples(slices["iop"], 6)
    across = iop[:, :3] * (source[:, :1] * spacing[:, 1:])
    down = iop[:, 3:] * (source[:, 1:] * spacing[:, :1])
    return triples(slices["ipp_mm"], 3) + across + down


def triples(column: pl.Series, width: int) -> np.ndarray:
    """float64 [N, width] of a list column, NaN in rows that are null, of another length or not finite."""
    out = np.full((len(column), width), np.nan)
    for n, values in enumerate(column.to_list()):
        if values is not None and len(values) == width and None not in values and np.isfinite(values).all():
            out[n] = values
    return out
