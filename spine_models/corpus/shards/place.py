"""Where a preprocessed slice lies in its source image and in the patient, and back.

Coordinates: a pixel's centre is at whole numbers, rows first; (0, 0) is the centre of the first pixel. Patient
coordinates are LPS in millimetres (DICOM PS3.3 C.7.6.2.1.1).

Belongs here: maps between the three grids, and the preprocessed grid's own position and spacing. Does not belong
here: pixels (``preprocess``), planes and slice order (``corpus.geometry``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spine_models.corpus.shards.preprocess import stretch_of


def _affine(row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    stretch = np.asarray(stretch_of(row["pixel_spacing_mm"]))
    return stretch * float(row["scale"]), np.asarray([float(row["pad_top_px"]), float(row["pad_left_px"])])


def to_source_px(row: Mapping[str, Any], points_px: np.ndarray) -> np.ndarray:
    """Points of the preprocessed slice in pixels of the source image.

    Args:
        row: a row of ``SLICES``.
        points_px: float [N, 2], (row, column) in the output.

    Returns:
        float64 [N, 2], (row, column) in the source; outside the image where the point lies in the padding.
    """
    factor, pad = _affine(row)
    return (np.asarray(points_px, dtype=np.float64) + 0.5 - pad) / factor - 0.5


def to_output_px(row: Mapping[str, Any], points_px: np.ndarray) -> np.ndarray:
    """The inverse of ``to_source_px``: source (row, column) [N, 2] in pixels of the preprocessed slice."""
    factor, pad = _affine(row)
    return (np.asarray(points_px, dtype=np.float64) + 0.5) * factor + pad - 0.5


def to_patient_mm(row: Mapping[str, Any], points_px: np.ndarray) -> np.ndarray:
    """Points of the preprocessed slice in the patient's coordinates (LPS, mm; DICOM PS3.3 C.7.6.2.1.1).

    Args:
        row: a row of ``SLICES``.
        points_px: float [N, 2], (row, column) in the output.

    Returns:
        float64 [N, 3].

    Raises:
        ValueError: the slice has no position, orientation or spacing.
    """
    origin, down, across = _frame(row)
    source = to_source_px(row, points_px)
    return origin + source[:, :1] * down + source[:, 1:] * across


def from_patient_mm(row: Mapping[str, Any], points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patient coordinates in pixels of the preprocessed slice, and how far they lie from its plane.

    Args:
        row: a row of ``SLICES``.
        points_mm: float [N, 3], LPS.

    Returns:
        (row, column) in the output, float64 [N, 2], and the signed distance along the slice normal, float64 [N], mm.

    Raises:
        ValueError: the slice has no position, orientation or spacing.
    """
    origin, down, across = _frame(row)
    offset = np.asarray(points_mm, dtype=np.float64) - origin
    source = np.stack([offset @ down / (down @ down), offset @ across / (across @ across)], axis=1)
    normal = np.cross(across, down)
    return to_output_px(row, source), offset @ normal / np.linalg.norm(normal)


def output_grid(row: Mapping[str, Any]) -> tuple[float | None, list[float] | None]:
    """Pixel spacing of the preprocessed grid (isotropic, mm) and the patient position of its first pixel (LPS, mm).

    Both with the slice's ``iop`` make it an image plane of its own; null where the source does not say.
    """
    spacing = row["pixel_spacing_mm"]
    if spacing is None:
        return None, None
    spacing_mm = float(min(spacing) / row["scale"])
    if row["iop"] is None or row["ipp_mm"] is None:
        return spacing_mm, None
    return spacing_mm, [float(v) for v in to_patient_mm(row, np.zeros((1, 2)))[0]]


def _frame(row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The source image's first pixel, and the steps from one row and from one column to the next, all [3] in mm."""
    missing = [name for name in ("iop", "ipp_mm", "pixel_spacing_mm") if row[name] is None]
    if missing:
        raise ValueError(
            f"slice {row['slice_key']} has no {', '.join(missing)}: it has no place in the patient"
        )
    between_rows, between_columns = row["pixel_spacing_mm"]
    along_columns, along_rows = np.asarray(row["iop"][:3], float), np.asarray(row["iop"][3:], float)
    return np.asarray(row["ipp_mm"], float), along_rows * between_rows, along_columns * between_columns
