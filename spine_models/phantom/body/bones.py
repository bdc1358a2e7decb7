"""Bones and discs: bodies, arches, facets, discs, ligaments, foramina, and what an operation leaves.

Belongs here: the shapes of normal anatomy with its wear, and of findings that reshape it (wedge, slip, height loss).
Does not belong here: the canal (``shapes``), lesions inside the tissues (``lesions``), soft tissue (``soft``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spine_models.domain import Region
from spine_models.phantom.body.tissue import Tissue

if TYPE_CHECKING:
    from spine_models.phantom.body.shapes import Shape


def posterior_elements(shape: Shape, out: np.ndarray) -> None:
    """Laminae, spinous processes, pedicles, facet joints and yellow ligament of every level."""
    b, rear, spine = shape.b, shape.rear, shape.spine
    # Nothing of an arch lies in front of the pedicles or behind the tips: most points need no look.
    near = (
        (shape.v > b.body_depth / 2 - 3) & (shape.v < rear + b.body_depth) & (np.abs(shape.u) < b.canal_width)
    )
    u, v, s = np.abs(shape.u[near]), shape.v[near], shape.s[near]
    whole, out = out, out[near]
    arches = [
        *zip(spine.centre_s, spine.heights, strict=True),
        *((n.centre_s, n.height) for n in spine.neighbours if not n.sacral),
    ]
    for centre, height in arches:
        _arch(out, u, v, s, shape, float(centre), float(height))
    discs = [
        *zip(spine.disc_s, spine.wear.facet, strict=False),
        *((n.disc_s, 1.0) for n in spine.neighbours if not n.sacral),
    ]
    for disc, size in discs:
        _facet(out, u, v, s, shape, float(disc), float(size))
    whole[near] = out


def _arch(
    out: np.ndarray, u: np.ndarray, v: np.ndarray, s: np.ndarray, shape: Shape, centre: float, height: float
) -> None:
    b, rear = shape.b, shape.rear
    lamina = (
        (np.abs(s - (centre - 0.28 * height)) < 0.36 * height)
        & (u < b.canal_width / 2 + 5)
        & (v > rear + 0.5 + 0.12 * u)
        & (v < rear + 7)
    )
    drop = s - (centre - 0.34 * height) + 0.22 * (v - rear)
    spinous = (u < 3.6) & (v > rear + 3) & (v < rear + 0.95 * b.body_depth) & (np.abs(drop) < 0.3 * height)
    between = (
        (u < 1.6)
        & (v > rear + 4)
        & (v < rear + 0.8 * b.body_depth)
        & (np.abs(drop) < 0.62 * height)
        & ~spinous
    )
    out[between] = Tissue.FAT
    out[between & (np.sin(0.9 * v + 0.35 * s) > 0.8)] = Tissue.LIGAMENT
    pedicle = (
        (np.abs(s - (centre + 0.18 * height)) < 0.25 * height)
        & (np.abs(u - b.canal_width / 2 - 3.5) < 4.0)
        & (v > b.body_depth / 2 - 3)
        & (v < rear + 2)
    )
    # The pars interarticularis, from the pedicle down and back to the lower articular process.
    across = v - rear - 1.0 + 0.4 * (s - centre)
    isthmus = (
        (np.abs(u - b.foramen_u) < 5.5)
        & (np.abs(across) < 4.0)
        & (np.abs(s - centre + 0.22 * height) < 0.32 * height)
    )
    isthmus &= shape.spine.region is Region.LUMBAR
    out[lamina | spinous | pedicle | isthmus] = Tissue.MARROW
    rim = (lamina & ((v < rear + 1.6) | (v > rear + 6))) | (spinous & (u > 2.7))
    rim |= pedicle & (np.abs(u - b.canal_width / 2 - 3.5) > 3.0)
    rim |= isthmus & (np.abs(across) > 3.0) & ~pedicle
    out[rim] = Tissue.CORTEX


def _facet(
    out: np.ndarray, u: np.ndarray, v: np.ndarray, s: np.ndarray, shape: Shape, disc: float, size: float
) -> None:
    b, rear = shape.b, shape.rear
    radius = np.hypot(u - b.foramen_u - 2, v - rear - 1.0) / size
    joint = (radius < 6.5) & (np.abs(s - disc) < 0.36 * b.body_height)
    out[joint] = Tissue.MARROW
    out[joint & (radius > 5.3)] = Tissue.CORTEX
    out[joint & (np.abs(u - b.foramen_u - 2 + 0.4 * (v - rear)) < 0.7)] = Tissue.CSF
    flavum = (
        (u < b.canal_width / 2) & (np.abs(v - rear - 0.4) < 1.7) & (np.abs(s - disc) < 0.4 * b.body_height)
    )
    out[flavum] = Tissue.LIGAMENT


def bodies(shape: Shape, out: np.ndarray) -> None:
    """Vertebral bodies with cortex, waist, basivertebral vein, the wedge of a fracture; the dens of the axis."""
    spine = shape.spine
    inside, waist = shape.section(), shape.section(0.94)
    for n, (centre, height) in enumerate(zip(spine.centre_s, spine.heights, strict=True)):
        _body(shape, out, inside, waist, float(centre), float(height), spine.levels[n])
    for near in spine.neighbours:
        scaled = shape.section(near.scale)
        _body(shape, out, scaled, shape.section(0.94 * near.scale), near.centre_s, near.height, None)
    if spine.region is Region.CERVICAL:
        _dens(shape, out)


def _body(
    shape: Shape,
    out: np.ndarray,
    inside: np.ndarray,
    waist: np.ndarray,
    centre: float,
    height: float,
    level: str | None,
) -> None:
    concave = 1.1 * (1 - np.clip(inside, 0, 1))
    top, bottom = height / 2 - concave, height / 2 - concave
    fracture = next((f for f in shape.of("fracture") if f.level == level), None)
    if fracture is not None:
        forward = np.clip(0.55 - (shape.v + shape.slip) / shape.b.body_depth, 0.1, 1.0)
        # Loss of anterior height as a share: the quarters of Genant (J Bone Miner Res 1993).
        top = top - fracture.graded(0.0, 0.2, 0.34, 0.52) * height * forward
    ds = shape.s - centre
    ring = np.where(np.abs(ds) < 0.3 * height, waist, inside)
    body = (ring < 1) & (ds < top) & (ds > -bottom)
    shell = body & ((ring > 0.86) | (ds > top - 1.0) | (ds < -bottom + 1.0))
    out[body] = Tissue.MARROW
    out[shell] = Tissue.CORTEX
    vein = body & (np.abs(ds) < 1.4) & (np.abs(shape.u) < 4) & (shape.v > 0.15 * shape.b.body_depth)
    out[vein & ~shell] = Tissue.SOFT
    if fracture is not None:
        out[(ring < 1.0) & (ds >= top) & (ds < height / 2)] = Tissue.ANNULUS


def _dens(shape: Shape, out: np.ndarray) -> None:
    b = shape.b
    ds = shape.s - (shape.spine.centre_s[0] + shape.spine.heights[0] / 2)
    middle = shape.v - 0.16 * b.body_depth
    peg = (shape.u / 5.5) ** 2 + (middle / 5.2) ** 2
    dens = (peg < 1) & (ds > -1.5) & (ds < 16 - 4 * peg)
    out[(peg < 1.9) & (ds > 0) & (ds < 18)] = Tissue.LIGAMENT
    out[dens] = Tissue.MARROW
    out[dens & (peg > 0.68)] = Tissue.CORTEX
    arch = ((middle + 10.5) / 3.0) ** 2 + ((ds - 9) / 4.5) ** 2
    out[(arch < 1) & (np.abs(shape.u) < 9)] = Tissue.MARROW
    out[(arch < 1) & (arch > 0.6) & (np.abs(shape.u) < 9)] = Tissue.CORTEX
    back = ((shape.v - shape.rear - 5) / 3.5) ** 2 + ((ds - 9) / 4.0) ** 2
    out[(back < 1) & (np.abs(shape.u) < 10)] = Tissue.MARROW
    out[(back < 1) & (back > 0.6) & (np.abs(shape.u) < 10)] = Tissue.CORTEX


def discs(shape: Shape, out: np.ndarray) -> None:
    """Annulus, nucleus and bulge of every disc, Schmorl's nodes and fatty endplates."""
    spine, b = shape.spine, shape.b
    outer, core_section = shape.section(1.03), shape.section(0.72)
    lens_shape = 0.9 * (1 - np.clip(outer, 0, 1))
    forward = shape.v + shape.slip
    named = [
        (n, float(d), float(h), float(bulge))
        for n, (d, h, bulge) in enumerate(zip(spine.disc_s, spine.disc_heights, spine.bulge, strict=True))
    ]
    beyond = [(len(named) + n, near.disc_s, near.disc_height, 0.3) for n, near in enumerate(spine.neighbours)]
    for n, disc, height, bulge in named + beyond:
        ds = np.abs(shape.s - disc)
        lens = height / 2 + lens_shape * min(1.0, height / 4)
        behind = (
            (forward > 0) & (forward < b.body_depth / 2 + bulge) & (np.abs(shape.u) < 0.42 * b.canal_width)
        )
        out[((outer < 1) | behind) & (ds < lens)] = Tissue.ANNULUS
        out[(core_section < 1) & (ds < lens - 0.8)] = Tissue.NUCLEUS + n
    for n, sign, u, v in spine.wear.pits:
        edge = spine.disc_s[n] + sign * (spine.disc_heights[n] / 2 + 1.5)
        pit = shape.ball((u, v, float(edge)), (4.5, 4.5, 3.6))
        bone = (out == Tissue.MARROW) | (out == Tissue.CORTEX)
        out[(pit < 1) & bone] = Tissue.CORTEX
        out[(pit < 0.55) & (bone | (out == Tissue.ANNULUS))] = Tissue.NUCLEUS + n
    for n in spine.wear.fatty:
        reach = (
            spine.disc_heights[n] / 2 + 0.22 * b.body_height + 1.5 * np.sin(0.4 * shape.v + 0.25 * shape.u)
        )
        band = (np.abs(shape.s - spine.disc_s[n]) < reach) & (np.abs(shape.v) < b.body_depth / 2)
        out[band & (out == Tissue.MARROW)] = Tissue.FATTY_MARROW


def ligaments(shape: Shape, out: np.ndarray) -> None:
    """The long ligaments in front of and behind the bodies."""
    forward, half = shape.v + shape.slip, shape.b.body_depth / 2
    front = (np.abs(forward + half + 0.5) < 0.8) & (np.abs(shape.u) < 0.3 * shape.b.body_width)
    out[front & (out != Tissue.ANNULUS)] = Tissue.LIGAMENT
    back = (np.abs(forward - half - 0.4) < 0.6) & (np.abs(shape.u) < 0.22 * shape.b.canal_width)
    out[back & (out == Tissue.FAT)] = Tissue.LIGAMENT


def foramina(shape: Shape, out: np.ndarray) -> None:
    """Fat and nerve root of every foramen."""
    b, spine = shape.b, shape.spine
    for disc in [*spine.disc_s, *(n.disc_s for n in spine.neighbours if not n.sacral)]:
        du, dv, ds = (
            np.abs(shape.u) - b.foramen_u,
            shape.v - b.body_depth / 2 - 4.0,
            shape.s - disc - 0.22 * b.body_height,
        )
        room = (np.abs(du) < 5.0) & ((dv / 5.0) ** 2 + (ds / (0.42 * b.body_height)) ** 2 < 1)
        out[room & (out != Tissue.CORTEX) & (out != Tissue.MARROW)] = Tissue.FAT
        root = room & (
            (dv + 0.3 * du) ** 2 + (ds - 0.06 * b.body_height) ** 2 < (0.11 * b.body_height + 0.9) ** 2
        )
        out[root] = Tissue.ROOT


def operation(shape: Shape, out: np.ndarray) -> None:
    """A laminectomy without hardware: scar in place of the arch, and drill debris that dims gradient echoes."""
    level = shape.spine.operated
    if level is None:
        return
    b = shape.b
    above = shape.s - float(shape.spine.disc_s[level]) - 0.2 * b.body_height
    behind = (shape.v > shape.rear + 0.8) & (shape.v < shape.rear + 0.9 * b.body_depth)
    gone = behind & (np.abs(shape.u) < 0.42 * b.canal_width) & (np.abs(above) < 0.75 * b.body_height)
    out[gone] = Tissue.SCAR
    debris = np.hypot(np.abs(shape.u) - 0.4 * b.canal_width, above) + 0.4 * np.abs(shape.v - shape.rear - 4)
    out[gone & (debris < 3.0)] = Tissue.DEBRIS
