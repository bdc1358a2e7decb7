"""What a report says of each condition, decided before a word is written.

Belongs here: affirmed, denied, hedged or kept silent, and contradictions. Does not belong here: words (``reports``,
``narrative.yaml``), findings (``body.pathology``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from spine_models.domain import Severity, Side, Status, condition_keys
from spine_models.phantom.body.pathology import Finding

AFFIRMED: Final = 0.90
HEDGED: Final = 0.06
DENIED: Final = 0.45
HEDGED_ABSENT: Final = 0.02
CONTRADICTED: Final = 0.015
"""Share of affirmed statements that the impression denies: the status stays present, ``contradicted`` says so."""

_OF_VERTEBRAE: Final = frozenset({"fracture", "edema", "hemangioma"})


@dataclass(frozen=True)
class Statement:
    """What the report says of one condition; ``findings`` where it names places, the worst first."""

    condition: str
    status: Status
    findings: tuple[Finding, ...] = ()
    contradicted: bool = False

    @property
    def finding(self) -> Finding | None:
        """The worst of the findings."""
        return self.findings[0] if self.findings else None


def draw_statements(
    findings: list[Finding], levels: tuple[str, ...], rng: np.random.Generator
) -> list[Statement]:
    """Decide per condition whether the report affirms, denies, hedges or keeps silent.

    A planted condition is affirmed in 90 %, hedged in 6 %, not mentioned in 4 %; one that is not there is denied in
    45 %, hedged in 2 %, else not mentioned. ``levels`` are vertebrae and discs that a hedge may name.
    """
    statements = []
    for condition in condition_keys():
        chance, contradiction = rng.random(2)
        there = sorted((f for f in findings if f.condition == condition), key=lambda f: -f.grade)
        if there:
            status = Status.PRESENT if chance < AFFIRMED else Status.AMBIGUOUS
            status = status if chance < AFFIRMED + HEDGED else Status.NOT_MENTIONED
        else:
            status = Status.ABSENT if chance < DENIED else Status.AMBIGUOUS
            status = status if chance < DENIED + HEDGED_ABSENT else Status.NOT_MENTIONED
        if status is Status.AMBIGUOUS and not there:
            pool = [level for level in levels if ("-" in level) != (condition in _OF_VERTEBRAE)]
            there = [Finding(condition, pool[int(rng.integers(len(pool)))], Side.LEFT, Severity.MILD)]
        shown = tuple(there) if status is Status.PRESENT else tuple(there[:1])
        against = status is Status.PRESENT and contradiction < CONTRADICTED
        statements.append(Statement(condition, status, shown, against))
    return statements
