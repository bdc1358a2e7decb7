"""Stacks of slices laid through a spine as a technologist plans them.

Belongs here: geometry of slices. Does not belong here: what the slices show (``acquisition``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from spine_models.domain import Plane, Region
from spine_models.phantom.body.anatomy import Spine

FIELD_OF_VIEW_MM: Final[dict[Region, float]] = {
    Region.CERVICAL: 160.0,
    Region.THORACIC: 200.0,
    Region.LUMBAR: 220.0,
}
MATRIX: Final = {Plane.SAGITTAL: 160, Plane.AXIAL: 128}
SAGITTAL_SLICES: Final = 7
SAGITTAL_SPACING_MM: Final = 4.4
SCOLIOTIC_SPACING_MM: Final = 5.6
"""A technologist leaves gaps to cover the foramina of a spine that leaves the midline."""
SCOLIOSIS_MM: Final = 2.5
LOCALIZER_MATRIX: Final = 96
LOCALIZER_GAP_MM: Final = 16.0
AXIAL_FIELD_MM: Final = 150.0
SUPERSAMPLING: Final = 2


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
    spacing = SAGITTAL_SPACING_MM if abs(spine.scoliosis) < SCOLIOSIS_MM else SCOLIOTIC_SPACING_MM
    xs = (np.arange(SAGITTAL_SLICES) - SAGITTAL_SLICES // 2) * spacing
    slices = _sagittal(spine, xs, FIELD_OF_VIEW_MM[spine.region], MATRIX[Plane.SAGITTAL])
    return Stack(Plane.SAGITTAL, slices, 4.0, spacing)


def plan_localizer(spine: Spine) -> tuple[Stack, ...]:
    """Three slices in each of the three planes, coarse and wide: sagittal, coronal, axial."""
    field = FIELD_OF_VIEW_MM[spine.region] * 1.25
    pixel, half = field / LOCALIZER_MATRIX, field / 2 - field / LOCALIZER_MATRIX / 2
    steps = np.array([-1, 0, 1]) * LOCALIZER_GAP_MM
    middle = (spine.build.skin - 62) / 2
    coronal = tuple(
        Slice((1, 0, 0, 0, 0, -1), np.array([-half, middle + y, half]), pixel, LOCALIZER_MATRIX)
        for y in steps
    )
    axial = tuple(
        Slice((1, 0, 0, 0, 1, 0), np.array([-half, middle - half, 2 * z]), pixel, LOCALIZER_MATRIX)
        for z in steps
    )
    return (
        Stack(Plane.SAGITTAL, _sagittal(spine, steps, field, LOCALIZER_MATRIX), 8.0, LOCALIZER_GAP_MM),
        Stack(Plane.CORONAL, coronal, 8.0, LOCALIZER_GAP_MM),
        Stack(Plane.AXIAL, axial, 8.0, 2 * LOCALIZER_GAP_MM),
    )


def _sagittal(spine: Spine, xs: np.ndarray, field_mm: float, matrix: int) -> tuple[Slice, ...]:
    pixel = field_mm / matrix
    first_y = (spine.build.skin - 62) / 2 - field_mm / 2 + pixel / 2
    return tuple(
        Slice((0, 1, 0, 0, 0, -1), np.array([x, first_y, field_mm / 2 - pixel / 2]), pixel, matrix)
        for x in xs
    )


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
