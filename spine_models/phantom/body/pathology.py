"""What is planted in a patient: findings with level, side, severity, and how they change the anatomy.

Belongs here: drawing findings from their prevalences. Does not belong here: geometry of tissues (``anatomy``).
A finding changes its own place and nothing else: not the field of view, the noise, the skin or the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np

from spine_models.domain import DISCS_OF_REGION, Region, Severity, Side

VERTEBRAE_OF: Final[dict[Region, tuple[str, ...]]] = {
    Region.CERVICAL: ("C2", "C3", "C4", "C5", "C6", "C7", "T1"),
    Region.THORACIC: ("T6", "T7", "T8", "T9", "T10", "T11", "T12"),
    Region.LUMBAR: ("L1", "L2", "L3", "L4", "L5", "S1"),
}
"""Vertebrae inside the sagittal field of view, from above."""

PREVALENCE: Final[dict[str, float]] = {
    "canal": 0.24, "neuroforaminal": 0.26, "subarticular": 0.20, "herniation": 0.26, "disc_height": 0.28,
    "spondylolisthesis": 0.20, "fracture": 0.20, "edema": 0.22, "hemangioma": 0.20, "cyst": 0.18, "synovial": 0.16,
    "lipomatosis": 0.16, "compression": 0.14, "inflammation": 0.18, "extramedullary": 0.16, "intramedullary": 0.16,
    "pars": 0.14,
}  # fmt: skip
"""Probability per study of a region in which the condition occurs; more often than in nature, so that all are met."""

_VERTEBRAL: Final = {"fracture", "edema", "hemangioma", "pars"}
_STAYING: Final = {"disc_height", "spondylolisthesis", "pars", "hemangioma", "fracture"}
"""Conditions that do not heal."""
_SIDED: Final = {"neuroforaminal", "subarticular", "cyst", "synovial", "extramedullary"}
_ONLY: Final[dict[str, set[Region]]] = {
    "intramedullary": {Region.CERVICAL, Region.THORACIC},
    "synovial": {Region.LUMBAR},
    "lipomatosis": {Region.LUMBAR, Region.THORACIC},
    "subarticular": {Region.LUMBAR},
    "pars": {Region.LUMBAR},
}


def discs_of(region: Region) -> tuple[str, ...]:
    """Discs inside the sagittal field of view, from above."""
    names = VERTEBRAE_OF[region]
    pairs = {f"{a}-{b}" for a, b in pairwise(names)}
    return tuple(d for r in DISCS_OF_REGION.values() for d in r if d in pairs)


@dataclass
class Finding:
    """One planted finding. ``box_mm``: (min, max) corners in patient LPS, set by the anatomy."""

    condition: str
    level: str
    side: Side | None
    severity: Severity
    box_mm: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)

    @property
    def grade(self) -> int:
        """1 mild, 2 moderate, 3 severe."""
        return {Severity.MILD: 1, Severity.MODERATE: 2, Severity.SEVERE: 3}[self.severity]


def draw_findings(
    region: Region, rng: np.random.Generator, *, prevalence: Mapping[str, float] = PREVALENCE
) -> list[Finding]:
    """Findings of one study; several at different levels are possible, one per condition.

    Args:
        region: of the study.
        rng: draws the same numbers whatever is found.
        prevalence: probability by condition.
    """
    vertebrae, discs = VERTEBRAE_OF[region], discs_of(region)
    found: list[Finding] = []
    taken: set[str] = set()
    for condition, share in prevalence.items():
        present = rng.random() < share / _share(condition)
        severity = [Severity.MILD, Severity.MODERATE, Severity.SEVERE][int(rng.choice(3, p=[0.2, 0.4, 0.4]))]
        side = [Side.LEFT, Side.RIGHT][int(rng.integers(2))] if condition in _SIDED else None
        if condition == "pars":
            side = [Side.LEFT, Side.RIGHT, Side.BILATERAL, Side.BILATERAL][int(rng.integers(4))]
        if condition == "herniation":
            side = [Side.LEFT, Side.RIGHT, Side.CENTRAL][int(rng.integers(3))]
        inner = vertebrae[1:-1] if condition in _VERTEBRAL else discs[1:] if len(discs) > 5 else discs
        if condition == "lipomatosis":
            inner = discs[1:-1]
        if condition == "pars":
            inner = ("L3", "L4", "L5", "L5")
        if condition in ("intramedullary", "spondylolisthesis"):
            inner = discs[1:-1] if condition == "intramedullary" else discs[1:]
        free = [level for level in inner if level not in taken] or list(inner)
        level = free[int(rng.integers(len(free)))]
        if not present or region not in _ONLY.get(condition, {region}):
            continue
        if condition == "compression":
            severity = Severity.SEVERE
            found = [f for f in found if f.condition != "canal"]
            found.append(Finding("canal", level, None, Severity.SEVERE))
        if condition not in ("lipomatosis",):
            taken.add(level)
        found.append(Finding(condition, level, side, severity))
    inflamed = next((f for f in found if f.condition == "inflammation"), None)
    if inflamed is not None and not any(f.condition == "edema" for f in found):
        # Type 1 endplate change is marrow oedema: the truth must not deny what the images show.
        found.append(Finding("edema", inflamed.level.split("-")[0], None, inflamed.severity))
    return found


def evolve(findings: list[Finding], region: Region, rng: np.random.Generator) -> list[Finding]:
    """Findings of the next study: most stay, some grow, shrink or resolve, a new one may come.

    Nothing of the input is changed; boxes are left to ``make_spine``.
    """
    grades = (Severity.MILD, Severity.MODERATE, Severity.SEVERE)
    later: list[Finding] = []
    for finding in findings:
        step = int(rng.choice(3, p=[0.2, 0.6, 0.2])) - 1
        grade = finding.grade + step
        if finding.condition in _STAYING:
            grade = max(grade, finding.grade)
        if grade < 1:
            continue
        severity = Severity.SEVERE if finding.condition == "compression" else grades[min(grade, 3) - 1]
        later.append(replace(finding, severity=severity, box_mm=None))
    if rng.random() < 0.25:
        known = {f.condition for f in later}
        later += [f for f in draw_findings(region, rng) if f.condition not in known][:1]
    return later


def _share(condition: str) -> float:
    """Conditions of some regions only are drawn more often there."""
    return {3: 1.0, 2: 0.7, 1: 0.45}[len(_ONLY.get(condition, set(range(3))))]
