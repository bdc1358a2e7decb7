"""One examination: ordered sequences in, acquired series out.

Belongs here: which stacks and images an order yields. Does not belong here: how a series is written (``dicom``).
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np

from spine_models.domain import Plane
from spine_models.phantom.body.anatomy import Spine
from spine_models.phantom.scanner.acquisition import acquire, labels_of
from spine_models.phantom.scanner.planning import Slice, plan_axial, plan_sagittal
from spine_models.phantom.scanner.protocol import Sequence, sequence_for


@dataclass(frozen=True)
class Order:
    """A sequence wanted in a plane; ``name`` as in ``protocol.PROTOCOL``."""

    name: str
    plane: Plane


@dataclass(frozen=True)
class Frame:
    """One image: its grid in patient LPS, its pixels uint16 [rows, cols], its weighting and echo where many."""

    grid: Slice
    pixels: np.ndarray
    b_value: float | None = None
    te_ms: float | None = None


@dataclass(frozen=True)
class Acquired:
    """One series as it leaves the scanner, frames in the order of acquisition.

    Attributes:
        name: contrast.
        plane: plane of the stack; ``OBLIQUE`` for a localizer of three planes.
        derivation: what it was computed as (ADC, SUB, MPR, MIP), if it was.
        dixon_group: number shared by the parts of one Dixon acquisition.
        bits_stored: bits that a pixel may use.
        motion: share of the phase-encoded lines displaced by motion, 0 none .. 1.
    """

    name: str
    plane: Plane
    sequence: Sequence
    thickness_mm: float
    spacing_mm: float
    frames: tuple[Frame, ...]
    derivation: str | None = None
    dixon_group: int | None = None
    bits_stored: int = 12
    motion: float = 0.0


def examine(spine: Spine, orders: Many[Order], field_t: float, rng: np.random.Generator) -> list[Acquired]:
    """Acquire every order of one examination; series of one plane share their stack.

    Args:
        spine: the patient.
        orders: wanted series, in order. A Dixon order gives its parts, a DWI order DWI and ADC.
        field_t: field strength, T.
        rng: of the site's protocol, the noise and the artefacts.
    """
    series: list[Acquired] = []
    stacks = {}
    for order in orders:
        sequence = sequence_for(order.name, field_t, rng)
        if order.plane not in stacks:
            stack = plan_sagittal(spine) if order.plane is Plane.SAGITTAL else plan_axial(spine)
            stacks[order.plane] = (stack, labels_of(spine, stack))
        stack, labels = stacks[order.plane]
        images = acquire(spine, stack, labels, sequence, field_t, rng)
        frames = tuple(Frame(g, p) for g, p in zip(stack.slices, images, strict=True))
        series.append(
            Acquired(order.name, order.plane, sequence, stack.thickness_mm, stack.spacing_mm, frames)
        )
    return series
