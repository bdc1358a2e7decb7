"""Which sequence to look at next when a finding is in doubt: rules as data (``sequences.yaml``), read and applied.

Belongs here: the rules' file and the answer for a study. Does not belong here: the clinical reasons themselves (the
file), words of a sequence (``wording``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

from spine_models.domain import Contrast, Plane, Region, condition_keys

FILE: Final = Path(__file__).parent / "sequences.yaml"


@dataclass(frozen=True)
class Advice:
    """What to look at next, why, and what would not settle it (of the study first)."""

    sequence: str
    why: str
    poor: tuple[str, ...]


@dataclass(frozen=True)
class _Rule:
    best: tuple[tuple[str, ...], ...]
    poor: tuple[str, ...]
    why: str


def advice(condition: str, region: Region, sequences: tuple[str, ...]) -> Advice | None:
    """The next sequence for a doubtful condition; None where the study has none of those that would help.

    Args:
        condition: its key.
        region: of the study: some rules differ by it.
        sequences: "<plane> <contrast>" of the study's series.
    """
    rules = _rules()[condition]
    rule = rules.get(region.value, rules[""])
    first = next((s for line in rule.best for s in line if s in sequences), None)
    if first is None:
        return None
    poor = dict.fromkeys(s for s in sequences if _is_poor(s, rule))
    others = [s for s in rule.poor if not s.startswith("any ")]
    return Advice(first, rule.why, tuple(dict.fromkeys([*poor, *others])))


def _is_poor(sequence: str, rule: _Rule) -> bool:
    contrast = sequence.split(" ", 1)[1]
    return sequence in rule.poor or f"any {contrast}" in rule.poor


@lru_cache(maxsize=1)
def _rules() -> dict[str, dict[str, _Rule]]:
    """Condition to region ("" for all others) to rule.

    Raises:
        ValueError: a condition without rule, a name that is no sequence, or one that is best and poor at once.
    """
    document = yaml.safe_load(FILE.read_text(encoding="utf-8"))["rules"]
    if set(document) != set(condition_keys()):
        raise ValueError("sequences.yaml: one rule for each condition of conditions.yaml, and no other")
    found: dict[str, dict[str, _Rule]] = {}
    for condition, entry in document.items():
        named = {"": entry, **{Region(region).value: own for region, own in entry.get("of", {}).items()}}
        found[condition] = {region: _rule(condition, own) for region, own in named.items()}
    return found


def _rule(condition: str, entry: dict[str, Any]) -> _Rule:
    rule = _Rule(tuple(map(tuple, entry["best"])), tuple(entry["poor"]), entry["why"])
    best = {sequence for line in rule.best for sequence in line}
    for sequence in (*best, *rule.poor):
        plane, _, contrast = sequence.partition(" ")
        if plane not in {"any", *Plane} or contrast not in set(Contrast):
            raise ValueError(
                f"sequences.yaml, {condition}: {sequence!r} is no '<plane> <contrast>' of the domain"
            )
    if any(_is_poor(sequence, rule) for sequence in best):
        raise ValueError(f"sequences.yaml, {condition}: a sequence is named as best and as poor")
    return rule
