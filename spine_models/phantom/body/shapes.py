"""Which tissue lies at a point: bodies, discs, canal, arches, foramina, muscle and fat.

Belongs here: the shapes of normal anatomy and of its narrowing, wedging and slipping. Does not belong here:
lesions that lie in it (``lesions``), signal.
"""

from __future__ import annotations

import numpy as np

from spine_models.domain import Region, Side
from spine_models.phantom.body.anatomy import Spine
from spine_models.phantom.body.lesions import place_lesions
from spine_models.phantom.body.tissue import Tissue


def label(spine: Spine, points: np.ndarray) -> np.ndarray:
    """Tissue label of points [..., 3] mm; int16."""
    u, v, s = spine.frame(points)
    b = spine.build
    out = _surroundings(spine, u, v, s)
    canal_v = b.body_depth / 2 + b.canal_depth / 2
    shape = Shape(spine, u, v, s, canal_v)
    shape.posterior_elements(out)
    shape.canal(out)
    shape.bodies(out)
    shape.discs(out)
    shape.foramina(out)
    place_lesions(shape, out)
    return out


def _surroundings(spine: Spine, u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
    b = spine.build
    out = np.full(u.shape, Tissue.SOFT, np.int16)
    field = _field(spine, u, v, s)
    front = v < -b.body_depth / 2 - 1.5
    out[front & (field > 0.35)] = Tissue.FAT
    out[front & (field < -0.9)] = Tissue.MUSCLE
    beside = (np.abs(u) > b.body_width / 2) & ~front
    out[beside] = Tissue.FAT
    psoas = ((np.abs(u) - 0.85 * b.body_width) / (0.38 * b.body_width)) ** 2 + (
        (v + 2) / (0.55 * b.body_depth)
    ) ** 2
    out[psoas < 1] = Tissue.MUSCLE
    back = v > b.body_depth / 2
    out[back] = Tissue.MUSCLE
    planes = np.sin(0.5 * v - 0.16 * np.abs(u) + 0.9 * field + 0.05 * s)
    out[back & (planes > 0.965 - 0.05 * field)] = Tissue.FAT
    out[back & (np.abs(np.abs(u) - 0.16 * v) < 0.8)] = Tissue.FAT
    out[np.abs(v + b.body_depth / 2 + 2.5) < 1.6] = Tissue.FAT
    aorta = (u - 8) ** 2 + (v + b.body_depth / 2 + 14) ** 2
    cava = (u + 11) ** 2 + (v + b.body_depth / 2 + 13) ** 2
    if spine.region is not Region.CERVICAL:
        out[(aorta < 81) | (cava < 90)] = Tissue.VESSEL
    else:
        airway = (np.abs(u) < 8) & (np.abs(v + b.body_depth / 2 + 13) < 5)
        out[airway] = Tissue.AIR
    skin = b.skin + 2.0 * np.sin(0.02 * s) - 0.0042 * u**2
    out[v > skin - spine.fat_mm] = Tissue.FAT
    out[v > skin - 1.5] = Tissue.SOFT
    out[v > skin] = Tissue.AIR
    return out


def _field(spine: Spine, u: np.ndarray, v: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Smooth random field, about unit deviation; the patient's soft tissue pattern."""
    rng = np.random.default_rng(spine.texture_seed + 2)
    total = np.zeros_like(u)
    for _ in range(7):
        a, b, c, phase = (float(w) for w in (*rng.normal(0, 0.085, 3), rng.uniform(0, 2 * np.pi)))
        total += np.sin(a * u + b * v + c * s + phase)
    return total / 1.9


class Shape:
    """The tissues of one evaluation; each method writes its labels over what is there."""

    def __init__(self, spine: Spine, u: np.ndarray, v: np.ndarray, s: np.ndarray, canal_v: float) -> None:
        self.spine, self.u, self.v, self.s, self.canal_v = spine, u, v, s, canal_v
        self.b = spine.build
        self.by = {f.condition: f for f in spine.findings}
        self.slip = np.zeros_like(s)
        if "spondylolisthesis" in self.by:
            finding = self.by["spondylolisthesis"]
            disc = spine.disc_s[spine.disc_index(finding.level)]
            amount = (0.13, 0.2, 0.3)[finding.grade - 1] * self.b.body_depth
            upper = spine.disc_index(finding.level)
            top = spine.centre_s[upper] + spine.heights[upper] / 2 + spine.disc_heights[max(upper - 1, 0)] / 2
            ramp = np.clip((s - disc + 1.5) / 3.0, 0, 1) * np.clip((top - s) / 8.0 + 1, 0, 1)
            self.slip = (amount * ramp).astype(np.float32)

    def _at(self, level: str) -> float:
        return float(self.spine.disc_s[self.spine.disc_index(level)])

    def _section(self, scale: float = 1.0) -> np.ndarray:
        """Superellipse of the vertebral body in (u, v); below 1 inside."""
        a, d = self.b.body_width / 2 * scale, self.b.body_depth / 2 * scale
        return np.abs(self.u / a) ** 2.6 + np.abs((self.v + self.slip) / d) ** 2.6

    def posterior_elements(self, out: np.ndarray) -> None:
        """Laminae, spinous processes, pedicles, facet joints and yellow ligament."""
        b = self.b
        rear = self.canal_v + b.canal_depth / 2
        # Nothing of an arch lies in front of the pedicles or behind the tips: most points need no look.
        near = (
            (self.v > b.body_depth / 2 - 3)
            & (self.v < rear + b.body_depth)
            & (np.abs(self.u) < b.canal_width)
        )
        u, v, s = self.u[near], self.v[near], self.s[near]
        whole, out = out, out[near]
        for centre, height in zip(self.spine.centre_s, self.spine.heights, strict=True):
            low = np.abs(s - (centre - 0.28 * height)) < 0.36 * height
            lamina = (
                low
                & (np.abs(u) < b.canal_width / 2 + 5)
                & (v > rear + 0.5 + 0.12 * np.abs(u))
                & (v < rear + 7)
            )
            drop = s - (centre - 0.34 * height) + 0.22 * (v - rear)
            spinous = (
                (np.abs(u) < 3.6)
                & (v > rear + 3)
                & (v < rear + 0.95 * b.body_depth)
                & (np.abs(drop) < 0.3 * height)
            )
            pedicle = (
                (np.abs(s - (centre + 0.18 * height)) < 0.25 * height)
                & (np.abs(np.abs(u) - b.canal_width / 2 - 3.5) < 4.0)
                & (v > b.body_depth / 2 - 3)
                & (v < rear + 2)
            )
            bone = lamina | spinous | pedicle
            out[bone] = Tissue.MARROW
            rim = (lamina & ((v < rear + 1.6) | (v > rear + 6))) | (spinous & (np.abs(u) > 2.7))
            rim |= pedicle & (np.abs(np.abs(u) - b.canal_width / 2 - 3.5) > 3.0)
            out[rim] = Tissue.CORTEX
        for disc in self.spine.disc_s:
            radius = np.hypot(np.abs(u) - b.foramen_u - 2, v - rear - 1.0)
            joint = (radius < 6.5) & (np.abs(s - disc) < 0.36 * b.body_height)
            out[joint] = Tissue.MARROW
            out[joint & (radius > 5.3)] = Tissue.CORTEX
            out[joint & (np.abs(np.abs(u) - b.foramen_u - 2 + 0.4 * (v - rear)) < 0.7)] = Tissue.CSF
            flavum = (
                (np.abs(u) < b.canal_width / 2)
                & (np.abs(v - rear - 0.4) < 1.7)
                & (np.abs(s - disc) < 0.4 * b.body_height)
            )
            out[flavum] = Tissue.LIGAMENT
        whole[near] = out

    def canal(self, out: np.ndarray) -> None:
        """Epidural fat, dural sac and what narrows it."""
        b, u, s = self.b, self.u, self.s
        v = self.v + 0.55 * self.slip
        inside = (u / (b.canal_width / 2)) ** 2 + ((v - self.canal_v) / (b.canal_depth / 2)) ** 2 < 1
        out[inside] = Tissue.FAT
        front, back, width = np.zeros_like(s), np.zeros_like(s), np.ones_like(s)
        for disc, bulge in zip(self.spine.disc_s, self.spine.bulge, strict=True):
            front += bulge * np.exp(-(((s - disc) / 4.5) ** 2))
        for condition in ("canal", "compression"):
            finding = self.by.get(condition)
            if finding is not None:
                share = {"canal": (0.34, 0.50, 0.64), "compression": (0.70, 0.74, 0.78)}[condition][
                    finding.grade - 1
                ]
                bump = np.exp(-(((s - self._at(finding.level)) / (0.28 * b.body_height + 2)) ** 2))
                front = np.maximum(front, 0.48 * share * b.canal_depth * bump)
                back = np.maximum(back, 0.52 * share * b.canal_depth * bump)
                width = np.minimum(width, 1 - 0.45 * share * bump)
        if "lipomatosis" in self.by:
            finding = self.by["lipomatosis"]
            bump = np.exp(-(((s - self._at(finding.level)) / (1.6 * b.body_height)) ** 4))
            back = np.maximum(back, (0.36, 0.46, 0.56)[finding.grade - 1] * b.canal_depth * bump)
            front = np.maximum(front, 0.10 * b.canal_depth * bump)
            width = np.minimum(width, 1 - 0.3 * bump)
        half = (0.92 * b.canal_depth - front - back) / 2
        middle = self.canal_v + (front - back) / 2
        half = np.maximum(half, 0.4)
        sac = (u / (0.46 * b.canal_width * width)) ** 2 + ((v - middle) / half) ** 2
        narrowed = np.zeros_like(inside)
        for condition in ("canal", "compression"):
            if condition in self.by:
                disc = self._at(self.by[condition].level)
                narrowed |= inside & (sac > 1) & (np.abs(s - disc) < 0.28 * b.body_height + 3)
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
        if "intramedullary" in self.by:
            swell = 0.32 * np.exp(-(((s - self._at(self.by["intramedullary"].level)) / 14.0) ** 2))
        flat = np.minimum(1.0, 0.92 * half / (depth * (1 + swell)))
        shift = np.zeros_like(s)
        if "extramedullary" in self.by:
            finding = self.by["extramedullary"]
            sign = -1.0 if finding.side is Side.LEFT else 1.0
            shift = sign * 3.0 * np.exp(-(((s - self._at(finding.level)) / 9.0) ** 2))
        cord = ((u - shift) / (width * (1 + swell))) ** 2 + (
            (v - middle) / (depth * (1 + swell) * flat)
        ) ** 2 < 1
        out[cord & (self.sac < 1.0)] = Tissue.CORD
        self.cord = cord & (self.sac < 1.0)
        if "compression" in self.by:
            near = np.abs(s - self._at(self.by["compression"].level)) < 6.5
            out[self.cord & near] = Tissue.MYELOPATHY

    def bodies(self, out: np.ndarray) -> None:
        """Vertebral bodies with cortex, waist, basivertebral vein, and the wedge of a fracture."""
        inside = self._section()
        waist = self._section(0.94)
        for n, (centre, height) in enumerate(zip(self.spine.centre_s, self.spine.heights, strict=True)):
            concave = 1.1 * (1 - np.clip(inside, 0, 1))
            top, bottom = height / 2 - concave, height / 2 - concave
            fracture = self.by.get("fracture")
            if fracture is not None and fracture.level == self.spine.levels[n]:
                loss = (0.28, 0.42, 0.56)[fracture.grade - 1] * height
                forward = np.clip(0.55 - (self.v + self.slip) / self.b.body_depth, 0.1, 1.0)
                top = top - loss * forward
            ds = self.s - centre
            mid = np.abs(ds) < 0.3 * height
            ring = np.where(mid, waist, inside)
            body = (ring < 1) & (ds < top) & (ds > -bottom)
            shell = body & ((ring > 0.86) | (ds > top - 1.0) | (ds < -bottom + 1.0))
            out[body] = Tissue.MARROW
            out[shell] = Tissue.CORTEX
            vein = body & (np.abs(ds) < 1.4) & (np.abs(self.u) < 4) & (self.v > 0.15 * self.b.body_depth)
            out[vein & ~shell] = Tissue.SOFT
            if fracture is not None and fracture.level == self.spine.levels[n]:
                gap = (ring < 1.0) & (ds >= top) & (ds < height / 2)
                out[gap] = Tissue.ANNULUS

    def discs(self, out: np.ndarray) -> None:
        """Annulus, nucleus and bulge of every disc."""
        outer = self._section(1.03)
        for n, (disc, height) in enumerate(zip(self.spine.disc_s, self.spine.disc_heights, strict=True)):
            ds = np.abs(self.s - disc)
            lens = height / 2 + 0.9 * (1 - np.clip(outer, 0, 1))
            bulge = self.spine.bulge[n]
            reach = self.b.body_depth / 2 + bulge
            behind = (
                (self.v + self.slip > 0)
                & (self.v + self.slip < reach)
                & (np.abs(self.u) < 0.42 * self.b.canal_width)
            )
            whole = ((outer < 1) | behind) & (ds < lens)
            out[whole] = Tissue.ANNULUS
            core = (self._section(0.72) < 1) & (ds < lens - 0.8)
            out[core] = Tissue.NUCLEUS + n

    def foramina(self, out: np.ndarray) -> None:
        """Fat and nerve root of every foramen."""
        b = self.b
        for disc in self.spine.disc_s:
            du, dv, ds = (
                np.abs(self.u) - b.foramen_u,
                self.v - b.body_depth / 2 - 4.0,
                self.s - disc - 0.22 * b.body_height,
            )
            room = (np.abs(du) < 5.0) & ((dv / 5.0) ** 2 + (ds / (0.42 * b.body_height)) ** 2 < 1)
            out[room & (out != Tissue.CORTEX) & (out != Tissue.MARROW)] = Tissue.FAT
            root = room & (
                (dv + 0.3 * du) ** 2 + (ds - 0.06 * b.body_height) ** 2 < (0.11 * b.body_height + 0.9) ** 2
            )
            out[root] = Tissue.ROOT

    def ball(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
        """Squared normalised distance from an ellipsoid's centre, in (u, v, s)."""
        return (
            ((self.u - centre[0]) / radii[0]) ** 2
            + ((self.v - centre[1]) / radii[1]) ** 2
            + ((self.s - centre[2]) / radii[2]) ** 2
        )
