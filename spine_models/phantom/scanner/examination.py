"""One examination: ordered sequences in, acquired series out.

Belongs here: which stacks and images an order yields. Does not belong here: how a series is written (``dicom``), what is
computed from finished series (``derived``).
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from spine_models.domain import Plane
from spine_models.phantom.body.anatomy import Spine
from spine_models.phantom.scanner.acquired import Acquired, Frame
from spine_models.phantom.scanner.acquisition import (
    Conditions,
    blurred,
    combine,
    degrade,
    draw_conditions,
    labels_of,
    stored,
    weighted,
)
from spine_models.phantom.scanner.derived import derive
from spine_models.phantom.scanner.planning import (
    SUPERSAMPLING,
    Stack,
    plan_axial,
    plan_localizer,
    plan_sagittal,
)
from spine_models.phantom.scanner.protocol import DIXON_PARTS, Sequence, sequence_for

__all__ = ["Acquired", "Frame", "Order", "examine"]

EPI_BLUR_PIXELS: Final = 0.9


@dataclass(frozen=True)
class Order:
    """A sequence wanted in a plane; ``name`` as in ``protocol.PROTOCOL``."""

    name: str
    plane: Plane


def examine(spine: Spine, orders: Many[Order], field_t: float, rng: np.random.Generator) -> list[Acquired]:
    """Acquire every order of one examination; series of one plane share their stack.

    Args:
        spine: the patient.
        orders: wanted series, in order. ``Dixon`` (or any of its parts) gives the four parts, ``DWI`` gives DWI and
            ADC, ``derived`` is computed from a series before it and left out when there is none.
        field_t: field strength, T.
        rng: of the site's protocol, the noise and the artefacts.
    """
    room = _Room(spine, field_t, rng)
    series: list[Acquired] = []
    for order in orders:
        name = "Dixon-in" if order.name.startswith("Dixon") else order.name
        if name == "localizer":
            series.append(room.localizer())
        elif name == "derived":
            computed = derive(series, rng)
            series += [computed] if computed is not None else []
        elif name == "Dixon-in":
            group = sum(s.name == "Dixon-in" for s in series) + 1
            series += room.dixon(order.plane, group)
        elif name in ("DWI", "ADC"):
            series += room.diffusion(order.plane)
        else:
            series.append(room.plain(name, order.plane))
    return series


class _Room:
    """The scanner with this patient in it: stacks are planned once and their labels kept."""

    def __init__(self, spine: Spine, field_t: float, rng: np.random.Generator) -> None:
        self.spine, self.field_t, self.rng = spine, field_t, rng
        self._planned: dict[Plane, tuple[Stack, np.ndarray]] = {}

    def plain(self, name: str, plane: Plane) -> Acquired:
        """One weighting of one stack."""
        stack, labels = self._stack(plane)
        sequence = sequence_for(name, self.field_t, self.rng)
        conditions = self._conditions(stack, labels)
        water, fat = weighted(self.spine, labels, sequence, self.field_t)
        images = degrade(combine(water, fat, sequence), conditions, self.rng)
        return _series(name, stack, sequence, images, motion=conditions.motion)

    def dixon(self, plane: Plane, group: int) -> list[Acquired]:
        """In phase, opposed phase, water and fat of one acquisition, on one scale."""
        stack, labels = self._stack(plane)
        first = sequence_for("Dixon-in", self.field_t, self.rng)
        conditions = self._conditions(stack, labels)
        water, fat = weighted(self.spine, labels, first, self.field_t)
        bright = float(np.percentile((water + fat) * conditions.bias, 99.5))
        parts = []
        for name, part in DIXON_PARTS.items():
            suppression = "dixon" if part == "water" else None
            sequence = replace(first, name=name, dixon_part=part, fat_suppression=suppression)
            images = degrade(combine(water, fat, sequence), conditions, self.rng, bright=bright)
            parts.append(_series(name, stack, sequence, images, motion=conditions.motion, dixon_group=group))
        return parts

    def diffusion(self, plane: Plane) -> list[Acquired]:
        """All b-values in one series, and the ADC map computed from them, in 1e-6 mm2/s."""
        stack, labels = self._stack(plane)
        sequence = sequence_for("DWI", self.field_t, self.rng)
        conditions = replace(self._conditions(stack, labels), ghost=0.03)
        volumes, bright = [], None
        for b_value in sequence.b_values_s_mm2:
            water, fat = weighted(self.spine, labels, sequence, self.field_t, b_value)
            ideal = blurred(combine(water, fat, sequence), EPI_BLUR_PIXELS)
            bright = bright or float(np.percentile(ideal * conditions.bias, 99.5))
            volumes.append(degrade(ideal, conditions, self.rng, bright=bright))
        frames = tuple(
            Frame(grid, image, b_value=b)
            for b, volume in zip(sequence.b_values_s_mm2, volumes, strict=True)
            for grid, image in zip(stack.slices, stored(volume), strict=True)
        )
        dwi = Acquired(
            "DWI", plane, sequence, stack.thickness_mm, stack.spacing_mm, frames, motion=conditions.motion
        )
        lowest, highest = sequence.b_values_s_mm2[0], sequence.b_values_s_mm2[-1]
        ratio = np.maximum(volumes[0], 1) / np.maximum(volumes[-1], 1)
        adc = np.where(volumes[0] > 0.06 * conditions.scale, np.log(ratio) / (highest - lowest) * 1e6, 0)
        mapped = _series("ADC", stack, replace(sequence, name="ADC"), adc, derivation="ADC")
        return [dwi, mapped]

    def localizer(self) -> Acquired:
        """Frames of three planes in one series."""
        sequence = sequence_for("localizer", self.field_t, self.rng)
        frames: list[Frame] = []
        stacks = plan_localizer(self.spine)
        for stack in stacks:
            labels = labels_of(self.spine, stack)
            conditions = replace(self._conditions(stack, labels), motion=0.0)
            water, fat = weighted(self.spine, labels, sequence, self.field_t)
            images = stored(degrade(combine(water, fat, sequence), conditions, self.rng))
            frames += [Frame(g, p) for g, p in zip(stack.slices, images, strict=True)]
        first = stacks[0]
        return Acquired(
            "localizer", Plane.OBLIQUE, sequence, first.thickness_mm, first.spacing_mm, tuple(frames)
        )

    def _stack(self, plane: Plane) -> tuple[Stack, np.ndarray]:
        if plane not in self._planned:
            stack = plan_sagittal(self.spine) if plane is Plane.SAGITTAL else plan_axial(self.spine)
            self._planned[plane] = (stack, labels_of(self.spine, stack))
        return self._planned[plane]

    def _conditions(self, stack: Stack, labels: np.ndarray) -> Conditions:
        return draw_conditions(stack, labels.shape[1] // SUPERSAMPLING, self.field_t, self.rng)


def _series(
    name: str,
    stack: Stack,
    sequence: Sequence,
    images: np.ndarray,
    *,
    motion: float = 0.0,
    dixon_group: int | None = None,
    derivation: str | None = None,
) -> Acquired:
    frames = tuple(Frame(g, p) for g, p in zip(stack.slices, stored(images), strict=True))
    return Acquired(
        name,
        stack.plane,
        sequence,
        stack.thickness_mm,
        stack.spacing_mm,
        frames,
        derivation=derivation,
        dixon_group=dixon_group,
        motion=motion,
    )
