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


SACRAL_SLOPE: Final = 0.42
SACRAL_BEND_MM: Final = 16.0
"""The bend is wide enough that the normals of the curve do not meet in front of the skin."""

BUILDS: Final[dict[Region, Build]] = {
    Region.CERVICAL: Build(13.5, 16.5, 19.0, 5.5, 14.5, 22.0, 7.2, 12.5, 5.0, 52.0, 11.5),
    Region.THORACIC: Build(19.5, 25.0, 27.0, 5.5, 15.5, 18.0, 6.6, 9.0, -9.0, 60.0, 11.5),
    Region.LUMBAR: Build(25.5, 32.0, 42.0, 9.5, 18.0, 24.0, 8.0, 9.5, 11.0, 72.0, 14.0),
}


@dataclass(frozen=True)
class Neighbour:
    """A vertebra beyond the named ones, with the disc between it and the spine's middle.

    Attributes:
        centre_s, height: of the body, mm.
        scale: of its cross-section; sacral segments taper.
        disc_s, disc_height: of the disc towards the named levels, mm.
        sacral: part of the sacrum: no spinous process of its own.
    """

    centre_s: float
    height: float
    scale: float
    disc_s: float
    disc_height: float
    sacral: bool = False


@dataclass(frozen=True)
class Wear:
    """What age leaves behind and no report counts as one of the conditions.

    Attributes:
        facet: size of the facet joints per disc, 1 is young.
        pits: Schmorl's nodes as (disc index, +1 above or -1 below, u, v).
        fatty: disc indices whose endplates turned to fat (Modic type 2).
    """

    facet: np.ndarray
    pits: tuple[tuple[int, int, float, float], ...] = ()
    fatty: tuple[int, ...] = ()


@dataclass
class Spine:
    """One patient's anatomy with findings applied; ``shapes.label`` answers what lies where.

    ``dryness`` runs over the named discs, then over the discs of ``neighbours``. ``transitional`` names a lumbosacral
    variant (``sacralised L5``, ``lumbarised S1``), ``operated`` is the disc index of a laminectomy, ``variants`` are
    what looks like findings and is called none, ``sacrum_z`` is where the sacrum turns back (none outside lumbar).
    """

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
    neighbours: tuple[Neighbour, ...] = ()
    wear: Wear = field(default_factory=lambda: Wear(np.ones(8)))
    operated: int | None = None
    variants: list[Finding] = field(default_factory=list)
    transitional: str | None = None
    sacrum_z: float | None = None
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
        curve = -self.lordosis * (np.cos(np.pi * z / self.length) - 0.3)
        if self.sacrum_z is not None:
            curve = curve + SACRAL_SLOPE * SACRAL_BEND_MM * np.logaddexp(
                0, (self.sacrum_z - z) / SACRAL_BEND_MM
            )
        return curve

    def _slope(self, z: np.ndarray) -> np.ndarray:
        slope = self.lordosis * np.pi / self.length * np.sin(np.pi * z / self.length)
        if self.sacrum_z is not None:
            slope = slope - SACRAL_SLOPE / (
                1 + np.exp(np.clip((z - self.sacrum_z) / SACRAL_BEND_MM, -40, 40))
            )
        return slope

    def frame(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Local coordinates (u, v, s) of points [..., 3] in mm."""
        x, y, z = (points[..., i].astype(np.float32) for i in range(3))
        foot = z
        for _ in range(3):
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
