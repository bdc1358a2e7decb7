"""A parametric spine: its sizes, its curve, and the frame that follows it.

Belongs here: sizes, the curved frame, which vertebra is where. Does not belong here: tissues (``shapes``,
``lesions``), signal, slices. Coordinates are patient LPS in mm relative to the middle of the stack: x to the left,
y to the back, z up. Every point is taken into a frame along the curved spine: u to the left, v to the back (0 in the
middle of the vertebral bodies), s along the spine upwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np

from spine_models.domain import Region
from spine_models.phantom.body.pathology import Finding


@dataclass(frozen=True)
class Build:
    """Mean sizes of a region in mm."""

    body_height: float
    body_depth: float
    body_width: float
    disc_height: float
    canal_depth: float
    canal_width: float
    cord_depth: float
    cord_width: float
    lordosis: float
    skin: float
    foramen_u: float


BUILDS: Final[dict[Region, Build]] = {
    Region.CERVICAL: Build(13.5, 16.5, 19.0, 5.5, 14.5, 22.0, 7.2, 12.5, 5.0, 52.0, 11.5),
    Region.THORACIC: Build(19.5, 25.0, 27.0, 5.5, 15.5, 18.0, 6.6, 9.0, -9.0, 60.0, 11.5),
    Region.LUMBAR: Build(25.5, 32.0, 42.0, 9.5, 18.0, 24.0, 8.0, 9.5, 11.0, 72.0, 14.0),
}


@dataclass
class Spine:
    """One patient's anatomy with findings applied; ``shapes.label`` answers what lies where."""

    region: Region
    build: Build
    findings: list[Finding]
    levels: tuple[str, ...]
    centre_s: np.ndarray
    heights: np.ndarray
    disc_s: np.ndarray
    disc_heights: np.ndarray
    dryness: np.ndarray
    bulge: np.ndarray
    lordosis: float
    scoliosis: float
    length: float
    fat_mm: float
    texture_seed: int
    _arc: tuple[np.ndarray, np.ndarray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        z = np.linspace(-self.length, self.length, 2001)
        slope = self._slope(z)
        s = np.concatenate([[0.0], np.cumsum(np.sqrt(1 + slope[:-1] ** 2) * np.diff(z))])
        self._arc = (z, s - np.interp(0.0, z, s))

    @property
    def discs(self) -> tuple[str, ...]:
        """Disc levels, from above."""
        return tuple(f"{a}-{b}" for a, b in pairwise(self.levels))

    def _curve(self, z: np.ndarray) -> np.ndarray:
        return -self.lordosis * (np.cos(np.pi * z / self.length) - 0.3)

    def _slope(self, z: np.ndarray) -> np.ndarray:
        return self.lordosis * np.pi / self.length * np.sin(np.pi * z / self.length)

    def frame(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Local coordinates (u, v, s) of points [..., 3] in mm."""
        x, y, z = (points[..., i].astype(np.float32) for i in range(3))
        foot = z
        for _ in range(2):
            slope = self._slope(foot)
            foot = foot + ((z - foot) + slope * (y - self._curve(foot))) / (1 + slope**2)
        slope = self._slope(foot)
        v = (y - self._curve(foot) - slope * (z - foot)) / np.sqrt(1 + slope**2)
        u = x - self.scoliosis * np.sin(2 * np.pi * foot / self.length)
        return u, v, np.interp(foot, *self._arc).astype(np.float32)

    def place(self, u: float, v: float, s: float) -> np.ndarray:
        """Patient coordinates of one point of the local frame."""
        foot = float(np.interp(s, self._arc[1], self._arc[0]))
        slope = float(self._slope(np.array(foot)))
        norm = np.sqrt(1 + slope**2)
        y = float(self._curve(np.array(foot))) + v / norm
        z = foot - slope * v / norm
        return np.array([u + self.scoliosis * np.sin(2 * np.pi * foot / self.length), y, z])

    def tilt_at(self, s: float) -> float:
        """Angle of the spine's axis against z at ``s``, radians; positive leans the top backwards."""
        foot = float(np.interp(s, self._arc[1], self._arc[0]))
        return float(np.arctan(self._slope(np.array(foot))))

    def disc_index(self, level: str) -> int:
        """Index of a disc level, from above."""
        return self.discs.index(level)
