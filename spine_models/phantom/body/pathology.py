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

SEVERITIES: Final = (0.35, 0.35, 0.3)
"""Shares of mild, moderate and severe."""
_STRENGTH: Final = (-0.6, 0.4)
"""Spread of the strength about the typical one of a grade."""
_COMPRESSED: Final = -0.2
"""Shift of a compression's strength: it begins where a stenosis without one may be as tight."""
VARIANTS: Final = 0.55
VARIANT_LIMIT: Final = 1.4
VARIANT_LIMITS: Final[dict[str, float]] = {
    "canal": 2.4, "lipomatosis": 2.1, "herniation": 1.8, "cyst": 2.0, "subarticular": 1.0, "synovial": 1.0,
    "extramedullary": 0.8, "intramedullary": 1.0, "edema": 1.55, "spondylolisthesis": 1.6,
    "disc_height": 1.1,
}  # fmt: skip
"""Readers draw the line between a variant and a mild finding at different places: variants reach beyond mild ones."""

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
    """One planted finding.

    Attributes:
        box_mm: (min, max) corners in patient LPS, set by the anatomy.
        strength: how strongly it shows, continuous: 1, 2 and 3 are typical of mild, moderate and severe, and 0 is
            nothing. None takes the typical value.
    """

    condition: str
    level: str
    side: Side | None
    severity: Severity
    box_mm: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)
    strength: float | None = None

    @property
    def grade(self) -> int:
        """1 mild, 2 moderate, 3 severe."""
        return {Severity.MILD: 1, Severity.MODERATE: 2, Severity.SEVERE: 3}[self.severity]

    def graded(self, none: float, mild: float, moderate: float, severe: float) -> float:
        """A size between those of nothing, mild, moderate and severe, at this finding's strength."""
        strength = self.grade if self.strength is None else self.strength
        return float(np.interp(strength, (0, 1, 2, 3), (none, mild, moderate, severe)))


def draw_findings(
    region: Region, rng: np.random.Generator, *, prevalence: Mapping[str, float] = PREVALENCE
) -> list[Finding]:
    """Findings of one study; several at different levels are possible, one per condition.

    Args:
        region: of the study.
        rng: draws the same numbers whatever is found.
        prevalence: probability by condition.
    """
    found: list[Finding] = []
    taken: set[str] = set()
    for condition, share in prevalence.items():
        present = rng.random() < share / share_of(condition)
        severity = [Severity.MILD, Severity.MODERATE, Severity.SEVERE][int(rng.choice(3, p=SEVERITIES))]
        shift = float(rng.uniform(*_STRENGTH))
        side = [Side.LEFT, Side.RIGHT][int(rng.integers(2))] if condition in _SIDED else None
        if condition == "pars":
            side = [Side.LEFT, Side.RIGHT, Side.BILATERAL, Side.BILATERAL][int(rng.integers(4))]
        if condition == "herniation":
            side = [Side.LEFT, Side.RIGHT, Side.CENTRAL][int(rng.integers(3))]
        inner = _levels(condition, region)
        free = [level for level in inner if level not in taken] or list(inner)
        level = free[int(rng.integers(len(free)))]
        if not present or not occurs_in(condition, region):
            continue
        if condition == "compression":
            severity, shift = Severity.SEVERE, shift + _COMPRESSED
        if condition not in ("lipomatosis",):
            taken.add(level)
        found.append(Finding(condition, level, side, severity, strength=_strength(severity, shift)))
    return _with_companions(found)


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
        own = 0.0 if finding.strength is None else finding.strength - finding.grade
        later.append(replace(finding, severity=severity, box_mm=None, strength=_strength(severity, own)))
    if rng.random() < 0.25:
        known = {f.condition for f in later}
        later += [f for f in draw_findings(region, rng) if f.condition not in known][:1]
    return _with_companions(later)


def _with_companions(found: list[Finding]) -> list[Finding]:
    """What images show together: compression is a severe stenosis there, type 1 endplate change is marrow oedema."""
    compressed = next((f for f in found if f.condition == "compression"), None)
    if compressed is not None:
        found = [f for f in found if f.condition != "canal"]
        found.append(replace(compressed, condition="canal", box_mm=None))
    inflamed = next((f for f in found if f.condition == "inflammation"), None)
    if inflamed is not None and not any(f.condition == "edema" for f in found):
        found.append(replace(inflamed, condition="edema", level=inflamed.level.split("-")[0], box_mm=None))
    return found


def draw_variants(
    region: Region, findings: list[Finding], rng: np.random.Generator, *, share: float = VARIANTS
) -> list[Finding]:
    """What looks like a condition and is called none: a small bulge, a little narrowing, a tiny cyst.

    They are drawn for every condition that is not found, at a level that has no finding, and stay the patient's own
    from visit to visit. A compression or a cleft has no lesser form.

    Args:
        region: of the study.
        findings: of the study.
        rng: draws the same numbers whatever is found.
        share: probability per condition.
    """
    known, busy = {f.condition for f in findings}, {f.level for f in findings}
    variants = []
    for condition in PREVALENCE:
        there, strength, where, right = rng.random(4)
        levels = _levels(condition, region)
        level = levels[int(where * len(levels))]
        if condition in known or level in busy or condition in ("compression", "pars"):
            continue
        if there < share and occurs_in(condition, region):
            side = (Side.RIGHT if right < 0.5 else Side.LEFT) if condition in _SIDED else None
            variants.append(
                Finding(
                    condition,
                    level,
                    side,
                    Severity.MILD,
                    strength=float(strength * VARIANT_LIMITS.get(condition, VARIANT_LIMIT)),
                )
            )
    return variants


def _levels(condition: str, region: Region) -> tuple[str, ...]:
    """Levels at which a condition is planted: those that the field of view shows whole."""
    vertebrae, discs = VERTEBRAE_OF[region], discs_of(region)
    if condition == "pars":
        return ("L3", "L4", "L5", "L5")
    if condition in _VERTEBRAL:
        return vertebrae[1:-1]
    if condition in ("intramedullary", "lipomatosis"):
        return discs[1:-1]
    return discs[1:] if condition == "spondylolisthesis" or len(discs) > 5 else discs


def _strength(severity: Severity, shift: float) -> float:
    return {Severity.MILD: 1.0, Severity.MODERATE: 2.0, Severity.SEVERE: 3.0}[severity] + shift


def occurs_in(condition: str, region: Region) -> bool:
    """Whether a condition is ever planted in a region."""
    return region in _ONLY.get(condition, {region})


def share_of(condition: str) -> float:
    """Share of all studies that are of a region in which a condition occurs; its odds there are that much higher."""
    return {3: 1.0, 2: 0.7, 1: 0.45}[len(_ONLY.get(condition, set(range(3))))]
