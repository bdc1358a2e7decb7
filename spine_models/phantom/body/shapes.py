"""Which tissue lies at a point: the spine put together, and its canal.

Belongs here: the order in which tissues are laid over each other, the canal with sac, cord and roots, and what narrows
it. Does not belong here: bones and discs (``bones``), lesions that lie in them (``lesions``), signal.
"""

from __future__ import annotations

import numpy as np

from spine_models.domain import Region, Side
from spine_models.phantom.body import bones
from spine_models.phantom.body.anatomy import Spine
from spine_models.phantom.body.lesions import place_lesions
from spine_models.phantom.body.pathology import Finding
from spine_models.phantom.body.soft import surroundings
from spine_models.phantom.body.tissue import Tissue


def label(spine: Spine, points: np.ndarray) -> np.ndarray:
    """Tissue label of points [..., 3] mm; int16."""
    u, v, s = spine.frame(points)
    out = surroundings(spine, u, v, s)
    shape = Shape(spine, u, v, s)
    bones.posterior_elements(shape, out)
    shape.canal(out)
    bones.bodies(shape, out)
    bones.discs(shape, out)
    bones.ligaments(shape, out)
    bones.foramina(shape, out)
    place_lesions(shape, out)
    bones.operation(shape, out)
    return out


class Shape:
    """The points of one evaluation in the frame of the spine; methods write labels over what is there.

    Attributes:
        u, v, s: local coordinates, mm, float32.
        canal_v, rear: middle and back of the bony canal, mm.
        slip: how far forward the column above a slipped level lies, mm.
    """

    def __init__(self, spine: Spine, u: np.ndarray, v: np.ndarray, s: np.ndarray) -> None:
        self.spine, self.u, self.v, self.s = spine, u, v, s
        self.b = spine.build
        self.canal_v = self.b.body_depth / 2 + self.b.canal_depth / 2
        self.rear = self.canal_v + self.b.canal_depth / 2
        sacral = [n for n in spine.neighbours if n.sacral]
        self.sac_end = sacral[-1].centre_s if sacral else None
        self.slip = np.zeros_like(s)
        for finding in self.of("spondylolisthesis"):
            upper = spine.disc_index(finding.level)
            amount = finding.graded(0.0, 0.09, 0.17, 0.28) * self.b.body_depth
            top = spine.centre_s[upper] + spine.heights[upper] / 2
            # The whole column above goes along and comes back to its line over two segments.
            back = np.exp(-((np.clip(s - top, 0, None) / (2.2 * self.b.body_height)) ** 2))
            ramp = np.clip((s - spine.disc_s[upper] + 1.5) / 3.0, 0, 1)
            self.slip = np.maximum(self.slip, amount * ramp * back).astype(np.float32)

    def of(self, condition: str) -> list[Finding]:
        """The findings of a condition, and the variants that look like it."""
        return [f for f in [*self.spine.variants, *self.spine.findings] if f.condition == condition]

    def at(self, level: str) -> float:
        """s of a disc level, mm."""
        return float(self.spine.disc_s[self.spine.disc_index(level)])

    def section(self, scale: float = 1.0) -> np.ndarray:
        """Superellipse of the vertebral body in (u, v); below 1 inside."""
        a, d = self.b.body_width / 2 * scale, self.b.body_depth / 2 * scale
        return np.abs(self.u / a) ** 2.6 + np.abs((self.v + self.slip) / d) ** 2.6

    def canal(self, out: np.ndarray) -> None:
        """Epidural fat, dural sac and what narrows it."""
        b, u, s = self.b, self.u, self.s
        v = self.v + 0.55 * self.slip
        inside = (u / (b.canal_width / 2)) ** 2 + ((v - self.canal_v) / (b.canal_depth / 2)) ** 2 < 1
        out[inside] = Tissue.FAT
        front, back, width = np.zeros_like(s), np.zeros_like(s), np.ones_like(s)
        for disc, bulge in zip(self.spine.disc_s, self.spine.bulge, strict=True):
            front += bulge * np.exp(-(((s - disc) / 4.5) ** 2))
        narrow = [(f, f.graded(0.04, 0.22, 0.42, 0.62)) for f in self.of("canal")]
        narrow += [(f, f.graded(0.36, 0.40, 0.47, 0.60)) for f in self.of("compression")]
        for finding, share in narrow:
            bump = np.exp(-(((s - self.at(finding.level)) / (0.28 * b.body_height + 2)) ** 2))
            front = np.maximum(front, 0.48 * share * b.canal_depth * bump)
            back = np.maximum(back, 0.52 * share * b.canal_depth * bump)
            width = np.minimum(width, 1 - 0.45 * share * bump)
        for finding in self.of("lipomatosis"):
            bump = np.exp(-(((s - self.at(finding.level)) / (1.6 * b.body_height)) ** 4))
            back = np.maximum(back, finding.graded(0.06, 0.28, 0.40, 0.54) * b.canal_depth * bump)
            front = np.maximum(front, finding.graded(0.0, 0.05, 0.08, 0.11) * b.canal_depth * bump)
            width = np.minimum(width, 1 - finding.graded(0.0, 0.15, 0.25, 0.32) * bump)
        half = (0.92 * b.canal_depth - front - back) / 2
        middle = self.canal_v + (front - back) / 2
        if self.sac_end is not None:
            half = half * np.clip((s - self.sac_end) / 18.0 + 0.1, 0, 1) ** 0.5
        half = np.maximum(half, 0.4)
        sac = (u / (0.46 * b.canal_width * width)) ** 2 + ((v - middle) / half) ** 2
        narrowed = np.zeros_like(inside)
        for finding, _ in narrow:
            narrowed |= inside & (sac > 1) & (np.abs(s - self.at(finding.level)) < 0.28 * b.body_height + 3)
        out[narrowed & (v > middle)] = Tissue.LIGAMENT
        out[narrowed & (v <= middle)] = Tissue.ANNULUS
        out[sac < 1] = Tissue.CSF
        self.sac, self.middle, self.half = sac, middle, half
        self._neural(out, v, middle, half)

    def _neural(self, out: np.ndarray, v: np.ndarray, middle: np.ndarray, half: np.ndarray) -> None:
        b, u, s = self.b, self.u, self.s
        depth, width = b.cord_depth / 2, b.cord_width / 2
        if self.spine.region is Region.LUMBAR:
            conus = self.spine.centre_s[0] - 0.2 * self.spine.heights[0]
            taper = np.clip((s - conus) / 18.0 + 0.05, 0, 1)
            cord = (u / (width * np.sqrt(taper) + 1e-3)) ** 2 + (
                (v - middle) / (depth * np.sqrt(taper) + 1e-3)
            ) ** 2 < 1
            out[cord & (self.sac < 0.95) & (taper > 0.05)] = Tissue.CORD
            strands = np.sin(1.9 * u + 0.03 * s) * np.sin(2.3 * (v - middle) + 0.11 * (s - conus)) > 0.42
            settle = (v - middle) > -0.25 * half
            out[(s < conus + 4) & (self.sac < 0.86) & strands & settle & ~cord] = Tissue.ROOT
            return
        swell = np.zeros_like(s)
        for finding in self.of("intramedullary"):
            more = finding.graded(0.0, 0.12, 0.22, 0.36)
            swell = np.maximum(swell, more * np.exp(-(((s - self.at(finding.level)) / 14.0) ** 2)))
        flat = np.minimum(1.0, 0.92 * half / (depth * (1 + swell)))
        shift = np.zeros_like(s)
        for finding in self.of("extramedullary"):
            away = finding.graded(0.0, 1.5, 2.4, 3.4) * (-1.0 if finding.side is Side.LEFT else 1.0)
            shift = shift + away * np.exp(-(((s - self.at(finding.level)) / 9.0) ** 2))
        cord = ((u - shift) / (width * (1 + swell))) ** 2 + (
            (v - middle) / (depth * (1 + swell) * flat)
        ) ** 2 < 1
        out[cord & (self.sac < 1.0)] = Tissue.CORD
        self.cord = cord & (self.sac < 1.0)
        for finding in self.of("compression"):
            # Signal of the cord changes in about a quarter of the compressions.
            if finding.graded(0, 1, 2, 3) > 2.95:
                out[self.cord & (np.abs(s - self.at(finding.level)) < 6.5)] = Tissue.MYELOPATHY

    def ball(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
        """Squared normalised distance from an ellipsoid's centre, in (u, v, s)."""
        return (
            ((self.u - centre[0]) / radii[0]) ** 2
            + ((self.v - centre[1]) / radii[1]) ** 2
            + ((self.s - centre[2]) / radii[2]) ** 2
        )
