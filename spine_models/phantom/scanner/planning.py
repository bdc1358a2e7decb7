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
    field = FIELD_OF_VIEW_MM[spine.region]
    pixel = field / MATRIX[Plane.SAGITTAL]
    middle = (spine.build.skin - 62) / 2
    slices = [
        Slice(
            (0, 1, 0, 0, 0, -1),
            np.array([x, middle - field / 2 + pixel / 2, field / 2 - pixel / 2]),
            pixel,
            MATRIX[Plane.SAGITTAL],
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
