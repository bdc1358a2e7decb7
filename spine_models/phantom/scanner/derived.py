"""Series computed on the console from finished ones: subtraction, projection, reformat.

Belongs here: images made of images. Does not belong here: acquisition; the ADC map, which is part of a diffusion scan.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import replace
from typing import Final

import numpy as np

from spine_models.domain import Plane
from spine_models.phantom.scanner.acquired import Acquired, Frame
from spine_models.phantom.scanner.planning import Slice

REFORMATS: Final = 7
REFORMAT_STEP_MM: Final = 4.0


def derive(series: Many[Acquired], rng: np.random.Generator) -> Acquired | None:
    """What a technologist would compute of these sagittal series; none when there is nothing to compute from.

    Enhanced minus plain T1 (SUB) where both are there, otherwise a maximum projection (MIP) or coronal reformat (MPR)
    of the first T2-like series.
    """
    sagittal = {s.name: s for s in reversed(series) if s.plane is Plane.SAGITTAL and s.derivation is None}
    if "T1" in sagittal and "T1+C" in sagittal:
        return _subtraction(sagittal["T1+C"], sagittal["T1"])
    source = next((sagittal[name] for name in ("T2", "STIR", "T2-FS", "T1") if name in sagittal), None)
    if source is None:
        return None
    return _projection(source) if rng.random() < 0.5 else _reformat(source)


def _derived(
    source: Acquired, frames: tuple[Frame, ...], kind: str, plane: Plane, spacing: float
) -> Acquired:
    sequence = replace(source.sequence, name="derived")
    return replace(
        source,
        name="derived",
        plane=plane,
        sequence=sequence,
        frames=frames,
        derivation=kind,
        spacing_mm=spacing,
    )


def _subtraction(after: Acquired, before: Acquired) -> Acquired:
    frames = []
    for a, b in zip(after.frames, before.frames, strict=True):
        level = np.median(a.pixels) / max(float(np.median(b.pixels)), 1.0)
        difference = np.clip(a.pixels - level * b.pixels, 0, 4095).astype(np.uint16)
        frames.append(Frame(a.grid, difference))
    return _derived(after, tuple(frames), "SUB", after.plane, after.spacing_mm)


def _projection(source: Acquired) -> Acquired:
    middle = source.frames[len(source.frames) // 2]
    highest = np.max([f.pixels for f in source.frames], axis=0)
    return _derived(source, (Frame(middle.grid, highest),), "MIP", source.plane, source.spacing_mm)


def _reformat(source: Acquired) -> Acquired:
    """Coronal images through the middle of the stack, interpolated between the slices, black beside it."""
    grid = source.frames[0].grid
    volume = np.stack([f.pixels for f in source.frames]).astype(np.float32)
    count, size, _ = volume.shape
    xs = (np.arange(size) - (size - 1) / 2) * grid.spacing_mm
    where = xs / source.spacing_mm + (count - 1) / 2
    inside = (where >= 0) & (where <= count - 1)
    low = np.clip(where.astype(int), 0, count - 2)
    part = (where - low)[:, None]
    x0 = float(grid.ipp_mm[0]) + (count - 1) / 2 * source.spacing_mm
    frames = []
    for n in range(REFORMATS):
        offset = (n - REFORMATS // 2) * REFORMAT_STEP_MM
        column = round(size / 2 + offset / grid.spacing_mm)
        plate = volume[:, :, column]
        image = np.where(inside[:, None], (1 - part) * plate[low] + part * plate[low + 1], 0).T
        y = float(grid.ipp_mm[1]) + column * grid.spacing_mm
        first = np.array([x0 + xs[0], y, grid.ipp_mm[2]])
        frames.append(
            Frame(Slice((1, 0, 0, 0, 0, -1), first, grid.spacing_mm, size), image.astype(np.uint16))
        )
    return _derived(source, tuple(frames), "MPR", Plane.CORONAL, REFORMAT_STEP_MM)
