"""What the pixels and the geometry of a series are worth: noise, motion, gaps, clipping, emptiness.

Scores are taken where frames are decoded anyway, on a few slices spread over the stack, at the source's own size.

- ``noise_sigma``: median absolute diagonal Haar detail over 0.6745 (Donoho and Johnstone 1994), over tissue, where a
  magnitude image's noise is nearly Gaussian. Images that the scanner interpolated have correlated noise and score
  lower than they are.
- ``motion_score``: root mean square of what is left in the darkest tenth of 8 x 8 blocks when their own pixel noise
  is taken off (Rayleigh), over the brightest tissue. Ghosts fall into air and are smooth there, noise is not. Null
  where the darkest blocks are no air.
Belongs here: scores of one slice, the row of one series, the flags and their limits. Does not belong here: decoding
(``pixels``, ``series``), drawing (``quality_page``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any, Final

import numpy as np

from spine_models.corpus.geometry import FrameGeometry, series_geometry, slice_normal
from spine_models.corpus.shards.pixels import Frame

SCORED_SLICES: Final = 6
"""Slices of a series that are scored: every stack costs the same, however long."""

_BLOCK: Final = 8
_TISSUE: Final = 0.2  # of the 99th percentile
_AIR: Final = 0.2  # the mean of air stays below this part of the 99th percentile
_SAME_POSITION_MM: Final = 0.05
_RAYLEIGH_VARIANCE: Final = 2 - math.pi / 2  # of a magnitude of two unit Gaussians
_EMPTY_SHARE: Final = 0.005

LIMITS: Final[Mapping[str, tuple[str, str, float]]] = {
    "low_snr": ("snr", "below", 5.0),
    "motion": ("motion_score", "above", 0.05),
    "missing_slices": ("missing_slices", "above", 0),
    "uneven_spacing": ("spacing_deviation", "above", 0.05),
    "repeated_positions": ("repeated_positions", "above", 0),
    "empty_slices": ("empty_slices", "above", 0),
    "clipped": ("clipped_fraction", "above", 0.02),
    "few_grey_values": ("bits_used", "below", 8),
}
"""Flag: column, side, limit. Below 5 of signal to noise a lesion cannot be told from noise (Rose 1948); the window is
made to hide one pixel in a hundred; scanners write 10 to 12 bits. Motion is the limit of gross ghosting: the phantom's
undisturbed slices reach 0.003 and those moved by four pixels 0.02 to 0.1, quiet real images 0.01 to 0.045; milder
motion shows against series of the same scanner, contrast and plane (the ``data_quality`` query)."""


@dataclass(frozen=True)
class SliceScores:
    """One slice; null where it cannot be judged. ``noise_sigma`` and ``signal`` are in units of the image."""

    noise_sigma: float | None
    signal: float | None
    motion_score: float | None


def score_slice(image: np.ndarray) -> SliceScores:
    """Scores of one slice.

    Args:
        image: float32 [H, W] magnitude, air dark; exact zeros count as not measured.
    """
    measured = image[image > 0]
    if measured.size < 64:
        return SliceScores(None, None, None)
    bright = float(np.percentile(measured, 99))
    tissue = image > _TISSUE * bright
    inside = tissue[:-1, :-1] & tissue[1:, :-1] & tissue[:-1, 1:] & tissue[1:, 1:]
    details = _diagonal(image)[inside]
    sigma = float(np.median(np.abs(details)) / 0.6745) if details.size >= 64 else None
    signal = float(np.median(image[tissue]))
    return SliceScores(sigma, signal, _motion(image, bright))


def _diagonal(image: np.ndarray) -> np.ndarray:
    """Diagonal Haar details of all 2 x 2 neighbourhoods; white noise keeps its deviation."""
    across = image[..., :, 1:] - image[..., :, :-1]
    return (across[..., 1:, :] - across[..., :-1, :]) / 2


def _motion(image: np.ndarray, bright: float) -> float | None:
    rows, columns = (n // _BLOCK for n in image.shape)
    cut = image[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    blocks = cut.swapaxes(1, 2).reshape(-1, _BLOCK, _BLOCK)
    blocks = blocks[np.count_nonzero(blocks, axis=(1, 2)) > _BLOCK * _BLOCK // 2]
    count = rows * columns // 10
    if count < 4 or len(blocks) < count:
        return None
    power = np.einsum("bij,bij->b", blocks, blocks) / _BLOCK**2
    dark = np.argpartition(power, count - 1)[:count]
    if blocks[dark].mean() > _AIR * bright:
        return None
    noise = float(np.mean(_diagonal(blocks[dark]) ** 2)) / _RAYLEIGH_VARIANCE
    return math.sqrt(max(0.0, float(power[dark].mean()) - 2 * noise)) / bright


def score_frame(frame: Frame) -> SliceScores:
    """Scores of a decoded frame with air dark and what was not measured at zero; its noise in source intensities."""
    image = frame.stored.astype(np.float32)
    if frame.padding is not None:
        image[frame.stored == frame.padding] = 0
    if frame.inverted:
        image = image.max() - image
    scores = score_slice(image)
    if scores.noise_sigma is None or scores.signal is None:
        return scores
    gain = abs(frame.slope)
    return replace(scores, noise_sigma=scores.noise_sigma * gain, signal=scores.signal * gain)


def is_empty(frame: Frame, window: tuple[float, float]) -> bool:
    """Whether hardly a pixel of a frame rises out of the dark tenth of its series' window (low, high)."""
    tenth = 0.1 * (window[1] - window[0])
    rise = window[1] - frame.intensities() if frame.inverted else frame.intensities() - window[0]
    return np.count_nonzero(rise > tenth) < _EMPTY_SHARE * frame.stored.size


def scored_indices(count: int) -> set[int]:
    """Which slices of an ordered stack are scored: evenly spread, the two ends left out where there are enough."""
    if count <= SCORED_SLICES:
        return set(range(count))
    return {int(i) for i in np.linspace(0, count - 1, SCORED_SLICES + 2).round()[1:-1]}


def series_quality(
    geometries: Sequence[FrameGeometry],
    scores: Sequence[SliceScores],
    clipped: Sequence[float],
    *,
    empty: int,
    stored_span: float,
) -> dict[str, Any]:
    """The measured columns of one ``QUALITY`` row.

    Args:
        geometries: of every readable frame.
        scores: of the scored ones; ``noise_sigma`` in source intensities.
        clipped: share of each slice's pixels that the window hides.
        empty: frames with nothing in them.
        stored_span: largest minus smallest stored value of the series.
    """
    whole = series_geometry(geometries)
    sigma = _median([s.noise_sigma for s in scores])
    snr = [s.signal / s.noise_sigma for s in scores if s.signal is not None and s.noise_sigma]
    thickness = _median([g.slice_thickness_mm for g in geometries])
    spacing = whole.slice_spacing_mm
    row: dict[str, Any] = {
        "n_slices": len(geometries),
        "n_scored": len(scores),
        "geometry": whole.geometry,
        "slice_spacing_mm": spacing,
        "slice_gap_mm": None if spacing is None or thickness is None else spacing - thickness,
        **_spacing_faults(geometries, spacing),
        "noise_sigma": sigma,
        "snr": _median(snr),
        "motion_score": _median([s.motion_score for s in scores]),
        "clipped_fraction": fmean(clipped) if clipped else None,
        "empty_slices": empty,
        "bits_used": math.ceil(math.log2(stored_span + 1)) if math.isfinite(stored_span) else None,
    }
    row["flags"] = flags_of(row)
    return row


def flags_of(row: Mapping[str, Any]) -> list[str]:
    """Flags of a row by ``LIMITS``, in their order; nulls raise none but that of geometry."""
    flags = [] if row["geometry"] != "unknown" else ["no_geometry"]
    for flag, (column, side, limit) in LIMITS.items():
        value = row[column]
        if value is not None and (value < limit if side == "below" else value > limit):
            flags.append(flag)
    return flags


def _spacing_faults(geometries: Sequence[FrameGeometry], spacing_mm: float | None) -> dict[str, Any]:
    """How uneven the stack is, how many slices fit into its holes, how many frames share another's place."""
    faults: dict[str, Any] = {
        "spacing_deviation": None,
        "missing_slices": None,
        "repeated_positions": None,
    }
    normal = next((n for g in geometries if (n := slice_normal(g.iop)) is not None), None)
    if normal is None or any(g.ipp_mm is None for g in geometries):
        return faults
    places = np.sort([float(np.dot(g.ipp_mm, normal)) for g in geometries])
    steps = np.diff(places)
    apart = steps[steps > _SAME_POSITION_MM]
    if spacing_mm is None:
        return faults
    faults["repeated_positions"] = int(len(steps) - len(apart))
    ratios = apart / spacing_mm
    faults["spacing_deviation"] = round(float(np.abs(ratios - 1).max()), 6)
    faults["missing_slices"] = int((np.rint(ratios[ratios > 1.5]) - 1).sum())
    return faults


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None
