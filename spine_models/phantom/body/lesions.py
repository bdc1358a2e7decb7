"""Lesions inside the anatomy: where each lies, how far it reaches, which tissue it is made of.

Belongs here: place and extent of every finding (its box too), and the lesions proper. Does not belong here: findings
that reshape the anatomy (``shapes``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from spine_models.domain import Side
from spine_models.phantom.body.anatomy import Spine
from spine_models.phantom.body.pathology import Finding
from spine_models.phantom.body.tissue import Tissue

if TYPE_CHECKING:
    from spine_models.phantom.body.shapes import Shape

PARS_HALF_MM: Final = 7.0
"""Half the width of the isthmus, left to right, that a defect of the pars takes."""

Placing = Callable[["Shape", Finding, np.ndarray], None]


def sign_of(side: Side | None) -> float:
    """+1 to the patient's left, which is +x."""
    return {Side.LEFT: 1.0, Side.RIGHT: -1.0}.get(side, 0.0) if side is not None else 0.0


def centre_and_radii(
    spine: Spine, finding: Finding
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Where a finding lies in the local frame (u, v, s) and how far it reaches, mm."""
    b = spine.build
    canal_v = b.body_depth / 2 + b.canal_depth / 2
    sign = sign_of(finding.side)
    size = finding.graded(0.25, 0.7, 1.0, 1.35)
    if "-" in finding.level:
        n = spine.disc_index(finding.level)
        s = float(spine.disc_s[n])
    else:
        n = spine.levels.index(finding.level)
        s = float(spine.centre_s[n])
    h = b.body_height
    match finding.condition:
        case "canal" | "compression":
            return (0.0, canal_v, s), (b.canal_width / 2, b.canal_depth / 2, 0.28 * h + 3)
        case "neuroforaminal":
            return (sign * b.foramen_u, b.body_depth / 2 + 4.0, s + 0.22 * h), (5.0, 5.0, 0.42 * h)
        case "subarticular":
            return (sign * 0.34 * b.canal_width, canal_v - 0.12 * b.canal_depth, s), (
                4.7 * size,
                5.4 * size,
                6.0,
            )
        case "herniation":
            return (sign * 0.22 * b.canal_width, b.body_depth / 2 + 1.5, s), (
                5.5 * size,
                0.36 * b.canal_depth * size,
                4.6 * size,
            )
        case "disc_height":
            return (0.0, 0.0, s), (b.body_width / 2, b.body_depth / 2, b.disc_height / 2)
        case "inflammation":
            return (0.0, 0.0, s), (b.body_width / 2, b.body_depth / 2, b.disc_height / 2 + 0.3 * h)
        case "spondylolisthesis":
            return (0.0, 0.0, s + h / 2), (b.body_width / 2, b.body_depth * 0.75, h / 2 + b.disc_height)
        case "fracture":
            return (0.0, 0.0, s), (b.body_width / 2, b.body_depth / 2, h / 2)
        case "edema":
            return (sign * 3.0, -0.06 * b.body_depth, s), (
                0.30 * b.body_width * size,
                0.30 * b.body_depth * size,
                0.30 * h * size,
            )
        case "hemangioma":
            return (3.0, -0.08 * b.body_depth, s), (
                0.24 * b.body_width * size,
                0.24 * b.body_depth * size,
                0.3 * h * size,
            )
        case "cyst":
            return (sign * b.foramen_u, b.body_depth / 2 + 4.5, s + 0.2 * h), (
                5.2 * size,
                5.2 * size,
                0.3 * h * size,
            )
        case "synovial":
            return (sign * 0.36 * b.canal_width, canal_v + 0.22 * b.canal_depth, s), (
                5.8 * size,
                5.6 * size,
                6.2 * size,
            )
        case "pars":
            spread = PARS_HALF_MM if sign else b.foramen_u + PARS_HALF_MM
            return (sign * b.foramen_u, canal_v + b.canal_depth / 2 + 2.0, s - 0.2 * h), (
                spread,
                8.0,
                0.3 * h + 2.5,
            )
        case "lipomatosis":
            return (0.0, canal_v + 0.2 * b.canal_depth, s), (b.canal_width / 2, 0.4 * b.canal_depth, 1.5 * h)
        case "intramedullary":
            return (0.0, canal_v, s), (0.4 * b.cord_width * size, 0.46 * b.cord_depth * size, 11.0 * size)
        case "extramedullary":
            return (sign * 0.26 * b.canal_width, canal_v, s), (
                0.25 * b.canal_width * size,
                0.40 * b.canal_depth * size,
                9.0 * size,
            )
    raise ValueError(f"no place is known for {finding.condition}")


def _fill(condition_tissue: Tissue, rim: Tissue | None = None) -> Placing:
    def place(shape: Shape, finding: Finding, out: np.ndarray) -> None:
        distance = shape.ball(*centre_and_radii(shape.spine, finding))
        if rim is not None:
            out[distance < 1.25] = rim
        out[distance < 1] = condition_tissue

    return place


def _within(tissue: Tissue, host: tuple[int, ...]) -> Placing:
    def place(shape: Shape, finding: Finding, out: np.ndarray) -> None:
        distance = shape.ball(*centre_and_radii(shape.spine, finding))
        out[(distance < 1) & np.isin(out, host)] = tissue

    return place


def _foramen(shape: Shape, finding: Finding, out: np.ndarray) -> None:
    centre, radii = centre_and_radii(shape.spine, finding)
    inside = shape.ball(centre, radii) < 1
    kept = finding.graded(0.95, 0.6, 0.34, 0.14)
    slit = shape.ball(centre, (radii[0], radii[1] * kept, radii[2] * (0.35 + kept))) < 1
    out[inside & ~slit & np.isin(out, (Tissue.FAT, Tissue.ROOT))] = Tissue.ANNULUS


def _herniation(shape: Shape, finding: Finding, out: np.ndarray) -> None:
    distance = shape.ball(*centre_and_radii(shape.spine, finding))
    behind = shape.v + shape.slip > shape.b.body_depth / 2 - 1
    soft = np.isin(out, (Tissue.FAT, Tissue.CSF, Tissue.ROOT, Tissue.ANNULUS, Tissue.CORD))
    out[(distance < 1) & behind & soft] = Tissue.ANNULUS


def _pars(shape: Shape, finding: Finding, out: np.ndarray) -> None:
    """A gap across the isthmus with sclerotic edges: scar if narrow, else fluid; active ones have oedema about it."""
    (u, v, s), (_, dv, ds) = centre_and_radii(shape.spine, finding)
    behind, along = shape.v - v, shape.s - s
    place = (np.abs(np.abs(shape.u) - shape.b.foramen_u) < PARS_HALF_MM) & (np.abs(behind) < dv)
    place &= np.abs(along) < ds
    if u:
        place &= shape.u * u > 0
    bone = place & np.isin(out, (Tissue.MARROW, Tissue.CORTEX, Tissue.LIGAMENT))
    # The isthmus runs down and back; the gap lies across it.
    oblique = np.abs(along - 0.4 * behind)
    gap = finding.graded(0.0, 4.0, 5.5, 7.0)
    active = bone & (oblique < gap / 2 + finding.graded(0.0, 0.0, 3.5, 6.0))
    out[active & (out == Tissue.MARROW)] = Tissue.OEDEMA
    out[bone & (oblique < gap / 2 + 1.0)] = Tissue.CORTEX
    out[bone & (oblique < gap / 2)] = Tissue.SCAR if gap < 3.2 else Tissue.CLEFT


def _endplates(shape: Shape, finding: Finding, out: np.ndarray) -> None:
    n = shape.spine.disc_index(finding.level)
    ds = np.abs(shape.s - shape.spine.disc_s[n])
    reach = shape.spine.disc_heights[n] / 2 + finding.graded(0.02, 0.15, 0.26, 0.38) * shape.b.body_height
    wave = 1.5 * np.sin(0.35 * shape.v + 0.3 * shape.u)
    out[(ds < reach + wave) & (out == Tissue.MARROW) & (np.abs(shape.v) < shape.b.body_depth / 2)] = (
        Tissue.OEDEMA
    )
    if finding.grade == 3:
        out[(ds < shape.spine.disc_heights[n] / 2) & (out == Tissue.NUCLEUS + n)] = Tissue.DISCITIS


_PLACES = {
    "neuroforaminal": _foramen,
    "subarticular": _within(Tissue.LIGAMENT, (Tissue.FAT, Tissue.CSF, Tissue.ROOT)),
    "herniation": _herniation,
    "pars": _pars,
    "inflammation": _endplates,
    "edema": _within(Tissue.OEDEMA, (Tissue.MARROW, Tissue.SOFT)),
    "hemangioma": _within(Tissue.HAEMANGIOMA, (Tissue.MARROW, Tissue.SOFT)),
    "cyst": _fill(Tissue.CYST),
    "synovial": _fill(Tissue.CYST, Tissue.LIGAMENT),
    "intramedullary": _within(Tissue.CORD_TUMOUR, (Tissue.CORD,)),
    "extramedullary": _within(Tissue.TUMOUR, (Tissue.CSF, Tissue.ROOT)),
}


def place_lesions(shape: Shape, out: np.ndarray) -> None:
    """Write the labels of a spine's lesions over its normal anatomy."""
    for finding in [*shape.spine.variants, *shape.spine.findings]:
        place = _PLACES.get(finding.condition)
        if place is not None:
            place(shape, finding, out)
