"""The one way from source pixels to an encoder's input.

Belongs here: padding to a square of isotropic pixels, antialiased resizing, the 16-bit quantisation that keeps a
series' whole range, the series' intensity window and how it is applied when a slice is read. Does not belong here:
coordinates (``place``), reading DICOM (``pixels``), bytes (``codec``), augmentation or an encoder's normalisation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from spine_models.config import ShardSettings

ALGORITHM: Final = 2
"""Raised whenever the arithmetic below changes, so that stored slices and vectors become stale."""

WHITE: Final = 65535

STEPS_PER_SOURCE_STEP: Final = 4
"""Stored steps per step of the source. Rounding then adds a sixteenth of the variance that the source's own rounding
has, and pixels that are not resampled come back exactly; full 16-bit scaling would store a third more bytes, all of
them residue of interpolation."""


@dataclass(frozen=True)
class Quantum:
    """What a stored value means: source intensity = ``origin`` + ``step`` * stored."""

    origin: float
    step: float

    @classmethod
    def spanning(cls, low: float, high: float, source_step: float = 0.0) -> Quantum:
        """A quarter of ``source_step`` from ``low`` on, or 65535 equal steps to ``high`` where that is not enough."""
        wanted, needed = source_step / STEPS_PER_SOURCE_STEP, (high - low) / WHITE
        return cls(float(low), float(max(wanted, needed)) or 1.0)


@dataclass(frozen=True)
class Preprocessed:
    """One slice as it is stored, and as every encoder sees it.

    Attributes:
        stored: uint16 [S, S]; source intensities in steps of the series' quantum, nothing clipped.
        array: uint16 [S, S]; 0 is the window's low end, 65535 its high end.
        scale: output pixels per source pixel along the more finely spaced source axis.
        pad_top_px: rows of padding above the image, in output pixels (may be fractional).
        pad_left_px: columns of padding left of the image, in output pixels.
        clipped_fraction: share of the source pixels that lie outside the window.
    """

    stored: np.ndarray
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


def series_quantum(
    histograms: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], source_step: float
) -> Quantum:
    """A quantum that holds every pixel of a series.

    Args:
        histograms: as ``series_window`` takes them, at least one value.
        source_step: intensity between neighbouring source values (the smallest rescale slope); 0 for float pixels.
    """
    seen = [values[counts > 0] for values, counts, _ in histograms]
    low, high = min(float(v.min()) for v in seen), max(float(v.max()) for v in seen)
    return Quantum.spanning(low, high, source_step)


def apply_window(
    stored: np.ndarray, quantum: Quantum, window: tuple[float, float], *, room: np.ndarray | None = None
) -> np.ndarray:
    """Stored values through a window: uint16 [S, S], 0 at ``window[0]``, 65535 at ``window[1]``, clipped outside.

    Args:
        stored: uint16 [S, S].
        quantum: what a stored value means.
        window: (low, high) source intensities; low > high inverts.
        room: float32 of the same shape to calculate in; what it held is lost. None takes new memory.
    """
    gain = WHITE / (window[1] - window[0])
    shown = np.empty(stored.shape, np.float32) if room is None else room
    np.copyto(shown, stored)
    shown *= np.float32(quantum.step * gain)
    shown += np.float32((quantum.origin - window[0]) * gain + 0.5)
    np.clip(shown, 0.0, WHITE + 0.5, out=shown)
    return shown.astype(np.uint16)


def preprocess(
    pixels: np.ndarray,
    window: tuple[float, float],
    size_px: int,
    *,
    quantum: Quantum | None = None,
    spacing_mm: tuple[float, float] | None = None,
) -> Preprocessed:
    """Centre the image in a square of isotropic pixels, resize it antialiased and store it in 16 bits.

    Nothing is cropped and no intensity is clipped in ``stored``; the window only makes ``array``. The padding is
    the window's low end, which is the series' background. The resampling is a triangle filter as wide as an output
    pixel (Pillow's antialiased bilinear over a float image): no overshoot, and no aliasing when shrinking. What
    the window hides is counted.

    Args:
        pixels: float [H, W], source intensities.
        window: (low, high) source intensities for 0 and 65535. low > high inverts the image, which is how
            MONOCHROME1 is shown as MONOCHROME2.
        size_px: S, the edge of the output.
        quantum: of the series; None spans this slice and its window alone.
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
    least, most = float(source.min()), float(source.max())
    if not np.isfinite([least, most]).all():
        raise ValueError("a slice holds values that are not finite: leave it out")
    if quantum is None:
        quantum = Quantum.spanning(min(least, low, high), max(most, low, high))
    outside = (source < min(low, high)) | (source > max(low, high))
    clipped = float(np.count_nonzero(outside) / source.size)
    rows, columns = source.shape
    stretch_rows, stretch_columns = stretch_of(spacing_mm)
    side = max(rows * stretch_rows, columns * stretch_columns)
    box_rows, box_columns = side / stretch_rows, side / stretch_columns
    margin_rows = int(np.ceil((box_rows - rows) / 2))
    margin_columns = int(np.ceil((box_columns - columns) / 2))
    margins = ((margin_rows, margin_rows), (margin_columns, margin_columns))
    padded = np.pad(source, margins, constant_values=np.float32(low))
    top = margin_rows - (box_rows - rows) / 2
    left = margin_columns - (box_columns - columns) / 2
    resized = Image.fromarray(padded).resize(
        (size_px, size_px),
        Image.Resampling.BILINEAR,
        box=(left, top, left + box_columns, top + box_rows),
    )
    steps = (np.asarray(resized, dtype=np.float64) - quantum.origin) / quantum.step
    stored = np.rint(np.clip(steps, 0, WHITE)).astype(np.uint16)
    scale = size_px / side
    return Preprocessed(
        stored=stored,
        array=apply_window(stored, quantum, (low, high)),
        scale=scale,
        pad_top_px=(size_px - rows * stretch_rows * scale) / 2,
        pad_left_px=(size_px - columns * stretch_columns * scale) / 2,
        clipped_fraction=clipped,
    )


def stretch_of(spacing_mm: tuple[float, float] | list[float] | None) -> tuple[float, float]:
    """How many of the finer pixels one source pixel is long, along rows and along columns."""
    if spacing_mm is None:
        return 1.0, 1.0
    between_rows, between_columns = float(spacing_mm[0]), float(spacing_mm[1])
    if not (between_rows > 0 and between_columns > 0 and np.isfinite(between_rows + between_columns)):
        raise ValueError(f"pixel spacing must be positive, not {between_rows} x {between_columns} mm")
    finest = min(between_rows, between_columns)
    return between_rows / finest, between_columns / finest
