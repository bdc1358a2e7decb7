"""Stacks of slices through a spine: geometry, partial volume, coil shading, flow, noise, ghosts.

Belongs here: from labels to stored integers. Does not belong here: headers (``vendors``), anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from spine_models.domain import Plane, Region
from spine_models.phantom.anatomy import Spine
from spine_models.phantom.shapes import label
from spine_models.phantom.tissue import Sequence, Tissue, lookup

FIELD_OF_VIEW_MM: Final[dict[Region, float]] = {
    Region.CERVICAL: 160.0,
    Region.THORACIC: 200.0,
    Region.LUMBAR: 220.0,
}
MATRIX: Final = {Plane.SAGITTAL: 160, Plane.AXIAL: 128}
SAGITTAL_SLICES: Final = 7
SAGITTAL_SPACING_MM: Final = 4.4
AXIAL_FIELD_MM: Final = 150.0
SUPERSAMPLING: Final = 2
FULL_SCALE: Final = 1400.0


@dataclass(frozen=True)
class Slice:
    """One slice's grid in patient LPS: direction of a row, of a column, and the first pixel's centre, mm."""

    iop: tuple[float, ...]
    ipp_mm: np.ndarray
    spacing_mm: float
    matrix: int

    def points(self, across: int, thickness_mm: float) -> np.ndarray:
        """Supersampled points [n * across, n * across, 3]; alternating through the thickness."""
        row, column = np.array(self.iop[:3]), np.array(self.iop[3:])
        normal = np.cross(row, column)
        fine = (np.arange(self.matrix * across) + 0.5) / across - 0.5
        steps = fine * self.spacing_mm
        grid = self.ipp_mm + steps[None, :, None] * row + steps[:, None, None] * column
        offset = (np.indices(grid.shape[:2]).sum(axis=0) % 2 - 0.5) * 0.5 * thickness_mm
        return (grid + offset[..., None] * normal).astype(np.float32)


@dataclass(frozen=True)
class Stack:
    """A planned stack."""

    plane: Plane
    slices: tuple[Slice, ...]
    thickness_mm: float
    spacing_mm: float


def plan_sagittal(spine: Spine) -> Stack:
    """Seven sagittal slices over the canal and both foramina, from right to left."""
    field = FIELD_OF_VIEW_MM[spine.region]
    pixel = field / MATRIX[Plane.SAGITTAL]
    middle = (spine.build.skin - 62) / 2
    slices = [
        Slice(
            (0, 1, 0, 0, 0, -1),
            np.array([x, middle - field / 2 + pixel / 2, field / 2 - pixel / 2]),
            pixel,
            192,
        )
        for x in (np.arange(SAGITTAL_SLICES) - SAGITTAL_SLICES // 2) * SAGITTAL_SPACING_MM
    ]
    return Stack(Plane.SAGITTAL, tuple(slices), 4.0, SAGITTAL_SPACING_MM)


def plan_axial(spine: Spine) -> Stack:
    """One axial slice through every disc, angled with it, and one between neighbours; from below."""
    pixel = AXIAL_FIELD_MM / MATRIX[Plane.AXIAL]
    extra = (spine.disc_s[:-1] + spine.disc_s[1:]) / 2
    slices = []
    for s in sorted([*spine.disc_s, *extra]):
        tilt = spine.tilt_at(s)
        column = np.array([0.0, np.cos(tilt), -np.sin(tilt)])
        row = np.array([1.0, 0.0, 0.0])
        centre = spine.place(0.0, 14.0, s)
        half = AXIAL_FIELD_MM / 2 - pixel / 2
        slices.append(Slice((*row, *column), centre - half * row - half * column, pixel, MATRIX[Plane.AXIAL]))
    spacing = float(np.mean(np.diff(sorted([*spine.disc_s, *extra]))))
    return Stack(Plane.AXIAL, tuple(slices), 4.0, spacing)


def labels_of(spine: Spine, stack: Stack) -> np.ndarray:
    """Supersampled labels of a stack, int16 [slices, n * 2, n * 2]; shared by all its sequences."""
    return np.stack([label(spine, s.points(SUPERSAMPLING, stack.thickness_mm)) for s in stack.slices])


def acquire(
    spine: Spine,
    stack: Stack,
    labels: np.ndarray,
    sequence: Sequence,
    field_t: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Images of one sequence, uint16 [slices, n, n], 12 bits used."""
    table = lookup(sequence, field_t, spine.dryness)
    images = table[labels]
    count, size = images.shape[0], images.shape[1] // SUPERSAMPLING
    marrow = labels == Tissue.MARROW
    grain = _texture(images.shape[1:], spine.texture_seed)
    images = images * np.where(marrow, 1 + 0.10 * grain, 1 + 0.03 * grain)
    if sequence.kind == "se" and sequence.te_ms > 60:
        # Pulsating CSF loses signal in places; never so much that it looks like tissue.
        flow = _texture(images.shape[1:], spine.texture_seed + 1)
        images = np.where(labels == Tissue.CSF, images * (1 - 0.12 * np.clip(flow, 0, 2)), images)
    images = images.reshape(count, size, SUPERSAMPLING, size, SUPERSAMPLING).mean(axis=(2, 4))
    images = images * _coil(stack, size, rng)
    bright = np.percentile(images, 99.5)
    noise = rng.uniform(0.012, 0.024) * bright
    ghost = rng.uniform(0, 0.02)
    images = images + ghost * np.roll(images, size // 3, axis=1)
    real = images + rng.normal(0, noise, images.shape)
    imaginary = rng.normal(0, noise, images.shape)
    scale = FULL_SCALE * rng.uniform(0.7, 1.3) / bright
    return np.clip(np.hypot(real, imaginary) * scale, 0, 4095).astype(np.uint16)


def _texture(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Smooth zero-mean texture of unit deviation, the same for every sequence of a patient."""
    coarse = np.random.default_rng(seed).normal(0, 1, (shape[0] // 4, shape[1] // 4)).astype(np.float32)
    fine = np.repeat(np.repeat(coarse, 4, axis=0), 4, axis=1)
    smooth = (fine + np.roll(fine, 2, 0) + np.roll(fine, 2, 1) + np.roll(fine, (2, 2), (0, 1))) / 4
    return smooth / smooth.std()


def _coil(stack: Stack, size: int, rng: np.random.Generator) -> np.ndarray:
    """Surface coil behind the back: brighter there, falling to about half in front."""
    depth = np.linspace(0, 1, size, dtype=np.float32)
    fall = 0.55 + 0.75 * depth ** float(rng.uniform(1.0, 1.8))
    along = 1 + 0.12 * np.cos(np.pi * (depth - float(rng.uniform(0.3, 0.7))))
    if stack.plane is Plane.SAGITTAL:
        return fall[None, None, :] * along[None, :, None]
    return fall[None, :, None] * along[None, None, :]
