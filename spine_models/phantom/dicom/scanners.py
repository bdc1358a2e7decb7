"""The scanners of the phantom hospital: who made them, where they stand and how their site names things.

Belongs here: one record per scanner, from ``scanners.yaml``. Does not belong here: what a maker writes into a
header (``dialect``), or how a series is named (``names``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml


@dataclass(frozen=True)
class Habits:
    """How a site uses its scanner.

    Attributes:
        language: two letters, a key of ``names.yaml``.
        style: ``vendor`` (the maker's names), ``terse``, ``long`` or ``numbered``.
        case: ``as_is``, ``upper`` or ``lower``.
        body_part: how BodyPartExamined is filled: ``code``, ``coarse``, ``local``, ``absent``, ``wrong_default``.
        agent_field: share of series after contrast agent that name the agent in the header.
    """

    language: str
    style: str
    case: str = "as_is"
    body_part: str = "code"
    agent_field: float = 0.5


@dataclass(frozen=True)
class Scanner:
    """One scanner; ``vendor`` is the short name that ``spine_models.corpus.header`` writes.

    ``software`` holds several values separated by a backslash where the maker writes several; ``enhanced`` is
    the share of series that it stores as one enhanced multi-frame object.
    """

    vendor: str
    manufacturer: str
    model: str
    field_t: float
    software: str
    uid_root: str
    station: str
    serial: str
    generation: str
    site: int
    habits: Habits
    enhanced: float = 0.0


_HABITS: Final = frozenset(Habits.__dataclass_fields__)


def _scanner(row: Mapping[str, Any]) -> Scanner:
    habits = Habits(**{k: v for k, v in row.items() if k in _HABITS})
    return Scanner(**{k: v for k, v in row.items() if k not in _HABITS}, habits=habits)


SCANNERS: Final[tuple[Scanner, ...]] = tuple(
    _scanner(row)
    for row in yaml.safe_load(Path(__file__).with_name("scanners.yaml").read_text(encoding="utf-8"))
)
"""Sixteen scanners of five makers, 0.55 to 3 T."""

SITES: Final = 1 + max(scanner.site for scanner in SCANNERS)


def site_scanners(site: int) -> tuple[Scanner, ...]:
    """The scanners of a site; sites beyond the last begin again with the first."""
    return tuple(scanner for scanner in SCANNERS if scanner.site == site % SITES)
