"""The one way from source pixels to an encoder's input, and the way back to the patient.

Belongs here: the series' intensity window, padding to a square of isotropic pixels, antialiased resizing, the
16-bit quantisation, and the inverse of its geometry. Does not belong here: reading DICOM (``pixels``), file
formats (``write``), augmentation or any encoder's normalisation.

Coordinates: a pixel's centre is at whole numbers, rows first; (0, 0) is the centre of the first pixel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from spine_models.config import ShardSettings

ALGORITHM: Final = 1
"""Raised whenever the arithmetic below changes, so that stored slices and vectors become stale."""

WHITE: Final = 65535


@dataclass(frozen=True)
class Preprocessed:
    """One slice as every encoder sees it.

    Attributes:
        array: uint16 [S, S]; 0 is the window's low end, 65535 its high end.
        scale: output pixels per source pixel along the more finely spaced source axis.
        pad_top_px: rows of padding above the image, in output pixels (may be fractional).
        pad_left_px: columns of padding left of the image, in output pixels.
        clipped_fraction: share of the source pixels that lie outside the window.
    """

    array: np.ndarray
    scale: float
    pad_top_px: float
    pad_left_px: float
    clipped_fraction: float


def preprocessing_version(settings: ShardSettings) -> str:
    """A short name of the algorithm and the three numbers that change its output."""
    numbers = f"{settings.size_px}|{settings.window_low_percentile!r}|{settings.window_high_percentile!r}"
    return f"p{ALGORITHM}-{hashlib.sha256(numbers.encode()).hexdigest()[:12]}"


def series_window(
    histograms: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], settings: ShardSettings
) -> tuple[float, float] | None:
    """The intensity window of a series: exact percentiles over all pixels of all its slices.

    The low percentile is taken over every pixel and the high one over the measured pixels alone: scanners
    blank the outside of a field of view with an exact zero, and a half-blanked slice would otherwise have its
    brightest tissue clipped twice as much as a whole one.

    Args:
        histograms: per group of slices, (values float64 [n], counts int64 [n], measured counts int64 [n]).
        settings: the two percentiles.

    Returns:
        (low, high) in source intensities with low < high, or None where all pixels are equal.
    """
    parts = list(histograms)
    if not parts:
        return None
    values, counts, measured = (np.concatenate([part[i] for part in parts]) for i in range(3))
    order = np.argsort(values, kind="stable")
    values, counts, measured = values[order], counts[order], measured[order]
    if measured.sum() == 0:
        return None
    low = _percentile(values, counts, settings.window_low_percentile)
    high = _percentile(values, measured, settings.window_high_percentile)
    if low < high:
        return low, high
    seen = values[counts > 0]
    low, high = float(seen[0]), float(seen[-1])
    return (low, high) if low < high else None


def _percentile(values: np.ndarray, counts: np.ndarray, percent: float) -> float:
    """The smallest value with at least ``percent`` of the mass at or below it."""
    mass = np.cumsum(counts)
    index = int(np.searchsorted(mass, percent / 100.0 * mass[-1], side="left"))
    return float(values[min(index, len(values) - 1)])


def preprocess(
    pixels: np.ndarray,
    window: tuple[float, float],
    size_px: int,
    *,
    spacing_mm: tuple[float, float] | None = None,
) -> Preprocessed:
    """Centre the image in a square of isotropic pixels, resize it antialiased and map the window to 16 bits.

    Nothing is cropped. The padding is the window's low end, which is the series' background. The resampling
    is a triangle filter as wide as an output pixel (Pillow's antialiased bilinear over a float image): no
    overshoot, and no aliasing when shrinking. Whatever is clipped by the window is counted, not hidden.

    Args:
        pixels: float [H, W], source intensities.
        window: (low, high) source intensities for 0 and 65535. low > high inverts the image, which is how
            MONOCHROME1 is shown as MONOCHROME2.
        size_px: S, the edge of the output.
        spacing_mm: (between rows, between columns); None is square.

    Raises:
        ValueError: pixels that are not two-dimensional or not finite, an empty window, spacing not positive.
    """
    low, high = float(window[0]), float(window[1])
    source = np.ascontiguousarray(pixels, dtype=np.float32)
    if source.ndim != 2 or 0 in source.shape:
        raise ValueError(f"a slice has two dimensions, this one has shape {source.shape}")
    if low == high or not np.isfinite([low, high]).all():
        raise ValueError(f"the intensity window ({low}, {high}) is empty: leave constant series out")
    unit = (source - np.float32(low)) / np.float32(high - low)
    if not np.isfinite(unit).all():
        raise ValueError("a slice holds values that are not finite: leave it out")
    clipped = float(np.count_nonzero((unit < 0) | (unit > 1)) / unit.size)
    rows, columns = source.shape
    stretch_rows, stretch_columns = _stretch(spacing_mm)
    side = max(rows * stretch_rows, columns * stretch_columns)
    box_rows, box_columns = side / stretch_rows, side / stretch_columns
    margin_rows = int(np.ceil((box_rows - rows) / 2))
    margin_columns = int(np.ceil((box_columns - columns) / 2))
    padded = np.pad(np.clip(unit, 0.0, 1.0), ((margin_rows, margin_rows), (margin_columns, margin_columns)))
    top = margin_rows - (box_rows - rows) / 2
    left = margin_columns - (box_columns - columns) / 2
    resized = Image.fromarray(padded).resize(
        (size_px, size_px),
        Image.Resampling.BILINEAR,
        box=(left, top, left + box_columns, top + box_rows),
    )
    array = np.rint(np.clip(np.asarray(resized), 0.0, 1.0) * WHITE).astype(np.uint16)
    scale = size_px / side
    return Preprocessed(
        array=array,
        scale=scale,
        pad_top_px=(size_px - rows * stretch_rows * scale) / 2,
        pad_left_px=(size_px - columns * stretch_columns * scale) / 2,
        clipped_fraction=clipped,
    )


def _stretch(spacing_mm: tuple[float, float] | list[float] | None) -> tuple[float, float]:
    """How many of the finer pixels one source pixel is long, along rows and along columns."""
    if spacing_mm is None:
        return 1.0, 1.0
    between_rows, between_columns = float(spacing_mm[0]), float(spacing_mm[1])
    if not (between_rows > 0 and between_columns > 0 and np.isfinite(between_rows + between_columns)):
        raise ValueError(f"pixel spacing must be positive, not {between_rows} x {between_columns} mm")
    finest = min(between_rows, between_columns)
    return between_rows / finest, between_columns / finest


def _affine(row: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    stretch = np.asarray(_stretch(row["pixel_spacing_mm"]))
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
    missing = [name for name in ("iop", "ipp_mm", "pixel_spacing_mm") if row[name] is None]
    if missing:
        raise ValueError(
            f"slice {row['slice_key']} has no {', '.join(missing)}: it has no place in the patient"
        )
    source = to_source_px(row, points_px)
    along_columns, along_rows = np.asarray(row["iop"][:3]), np.asarray(row["iop"][3:])
    between_rows, between_columns = row["pixel_spacing_mm"]
    return (
        np.asarray(row["ipp_mm"])
        + source[:, 1:] * between_columns * along_columns
        + source[:, :1] * between_rows * along_rows
    )
