"""The unit of comparison: one condition at one place, with its severity and how certain it is said to be.

A report says a thing more than once: among the findings and in the impression, with and without its level. Units of
one study are therefore folded into the fewest that say the same:

- a defect of the pars told of at a disc is that of the upper vertebra, a slip told of at a vertebra is that at the disc
  below: both ways of naming the place are in use;
- what is paired by anatomy (foramina, recesses, pars, facets) counts once a side, so "bilateral" is left and right;
- of one condition, level and side the worst severity and the strongest certainty hold;
- a unit without level or side is left out where others of the condition tell them: it is their summary. What it
  alone knows (severity, a stronger certainty) goes to the one unit that it sums up, and nowhere where there are more.

Certainty of a text: what the rules labeller calls present is ``definite``, or ``probable`` where its sentence says so
("probable", "likely", "consistent with") and tells of no other condition; ambiguous is ``possible``. What is absent or
not mentioned gives no unit.

Belongs here: the unit, its folding and its three sources. Does not belong here: weights, matching and scores
(``reporting.scores``), reading of sentences (``corpus.labels``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from spine_models.corpus.labels import read_report
from spine_models.domain import DISCS, VERTEBRAE, Severity, Side, Status, condition_keys

CERTAINTIES: Final = ("possible", "probable", "definite")
"""From weak to strong."""

PAIRED: Final = frozenset({"neuroforaminal", "subarticular", "pars", "synovial"})
"""Conditions of structures that lie on either side: both sides are two findings, as two levels are."""

_SEVERITIES: Final = tuple(str(severity) for severity in Severity)
_DISC_BELOW: Final = {disc.split("-")[0]: disc for disc in DISCS}
_PLACES: Final = {name: rank for rank, name in enumerate((*VERTEBRAE, *DISCS))}
_PROBABLE: Final = re.compile(
    r"\b(?:probabl[ey]|presumabl[ey]|presumed|likely|(?:consistent|compatible|in keeping) with)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Unit:
    """One statement that a condition is there.

    Attributes:
        condition: its key.
        level: canonical disc ("L4-L5") or vertebra ("L4"); None where none is told.
        side: of the patient; None where none is told.
        severity: mild, moderate or severe; None where none is told.
        certainty: definite, probable or possible.

    Raises:
        ValueError: a value outside the vocabulary; names it and its place.
    """

    condition: str
    level: str | None = None
    side: str | None = None
    severity: str | None = None
    certainty: str = "definite"

    def __post_init__(self) -> None:
        known: tuple[tuple[str, str | None, Iterable[str]], ...] = (
            ("condition", self.condition, condition_keys()),
            ("level", self.level, _PLACES),
            ("side", self.side, tuple(Side)),
            ("severity", self.severity, _SEVERITIES),
            ("certainty", self.certainty, CERTAINTIES),
        )
        for name, value, allowed in known:
            optional = name not in ("condition", "certainty")
            if not (value is None and optional) and value not in allowed:
                raise ValueError(f"a unit's {name} is {value!r}: use a name of spine_models.domain")

    @property
    def order(self) -> tuple[int, int, int, int, int]:
        """Sorting key: condition as in ``conditions.yaml``, level from head to tail, side, severity, certainty."""
        return (
            condition_keys().index(self.condition),
            -1 if self.level is None else _rank(self.level),
            -1 if self.side is None else list(Side).index(Side(self.side)),
            _degree(self.severity),
            CERTAINTIES.index(self.certainty),
        )


@dataclass(frozen=True)
class Reference:
    """What a study's own report says.

    Attributes:
        units: folded and sorted.
        excluded: conditions on which the report or its labellers are in doubt: what a draft says of them is
            neither right nor wrong and is left out on both sides.
    """

    units: tuple[Unit, ...]
    excluded: frozenset[str] = frozenset()


def merged(units: Iterable[Unit]) -> list[Unit]:
    """Fold the units of one study as the module says; sorted. Folding twice changes nothing."""
    by_condition: dict[str, dict[tuple[str | None, str | None], Unit]] = defaultdict(dict)
    for unit in units:
        for part in _parts(unit):
            held, place = by_condition[part.condition], (part.level, part.side)
            held[place] = _stronger(held[place], part) if place in held else part
    found = [unit for held in by_condition.values() for unit in _without_summaries(list(held.values()))]
    return sorted(found, key=lambda unit: unit.order)


def units_of_text(text: str) -> list[Unit]:
    """What a report affirms, read by the rules labeller.

    Args:
        text: of a whole report or of one sentence; empty text affirms nothing.
    """
    return list(_read(text))


def says_something(text: str) -> bool:
    """Whether a text affirms, doubts or denies any condition: the least that makes it a report of the spine."""
    return bool(text.strip()) and bool(read_report(text))


@lru_cache(maxsize=4096)
def _read(text: str) -> tuple[Unit, ...]:
    # The same report is asked for as a reference, as a neighbour's and in perturbations.
    mentions = [
        {
            "condition": mention.condition,
            "status": mention.status,
            "level": level,
            "side": mention.side,
            "severity": mention.severity,
            "evidence": text[mention.start : mention.end],
            "evidence_start": mention.start,
        }
        for mention in read_report(text)
        for level in mention.levels or (None,)
    ]
    return tuple(merged(_of_mentions(mentions)))


def units_of_claims(claims: Iterable[Mapping[str, Any]]) -> list[Unit]:
    """What the agents affirm of one study.

    Args:
        claims: rows of ``agents.CLAIMS`` of one study, with condition, ``affirmed``, ``certainty`` and ``places``.

    Returns:
        One unit per place of every affirmed claim, folded; one without place where a claim names none.
    """
    units: list[Unit] = []
    for claim in claims:
        if not claim["affirmed"]:
            continue
        places: Sequence[Mapping[str, Any]] = claim["places"] or ({},)
        units += [
            Unit(
                claim["condition"],
                place.get("level"),
                place.get("side"),
                place.get("severity"),
                claim["certainty"] or "possible",
            )
            for place in places
        ]
    return merged(units)


def units_of_labels(
    consensus: Iterable[Mapping[str, Any]], mentions: Iterable[Mapping[str, Any]]
) -> Reference:
    """What the labels of one study say: conditions by the consensus, places by the mentions.

    The consensus decides what is present, since people may have decided it. A condition that it calls present has the
    places of its present mentions, and of doubtful ones as ``possible``; where there is no present mention (another
    labeller read it, or a person) those of the consensus row. An ambiguous condition is excluded; nothing is ever
    made of it.

    Args:
        consensus: rows of ``labels.CONSENSUS`` of one study.
        mentions: rows of ``labels.MENTIONS`` of one study.
    """
    by_condition: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for mention in mentions:
        by_condition[mention["condition"]].append(mention)
    chosen: list[Mapping[str, Any]] = []
    told: list[Unit] = []
    excluded: set[str] = set()
    for row in consensus:
        condition = row["condition"]
        if row["status"] == Status.AMBIGUOUS:
            excluded.add(condition)
        if row["status"] != Status.PRESENT:
            continue
        own = by_condition[condition]
        if any(mention["status"] == Status.PRESENT for mention in own):
            chosen += own
            continue
        # Side and severity of the row are those of its first level, the worst.
        levels = row["levels"] or [row["level"]]
        told.append(Unit(condition, levels[0], row["side"], row["severity"]))
        told += [Unit(condition, level) for level in levels[1:]]
    return Reference(tuple(merged([*_of_mentions(chosen), *told])), frozenset(excluded))


def _of_mentions(mentions: Iterable[Mapping[str, Any]]) -> list[Unit]:
    """Present and ambiguous mentions as units, not folded yet."""
    rows = list(mentions)
    alone: dict[tuple[object, object], set[str]] = defaultdict(set)
    for row in rows:
        alone[row.get("report_key"), row["evidence_start"]].add(row["condition"])
    units = []
    for row in rows:
        if row["status"] not in (Status.PRESENT, Status.AMBIGUOUS):
            continue
        certainty = "possible"
        if row["status"] == Status.PRESENT:
            sentence = row["evidence"] or ""
            own = len(alone[row.get("report_key"), row["evidence_start"]]) == 1
            certainty = "probable" if own and _PROBABLE.search(sentence) else "definite"
        side = None if row["side"] is None else str(row["side"])
        severity = None if row["severity"] is None else str(row["severity"])
        units.append(Unit(row["condition"], row["level"], side, severity, certainty))
    return units


def _parts(unit: Unit) -> tuple[Unit, ...]:
    """A unit under the canonical name of its place, one for each side of what is paired."""
    level = unit.level
    if unit.condition == "pars" and level is not None:
        level = level.split("-")[0]
    if unit.condition == "spondylolisthesis" and level is not None:
        level = _DISC_BELOW.get(level, level)
    sides: tuple[str | None, ...] = (unit.side,)
    if unit.condition in PAIRED and unit.side == Side.BILATERAL:
        sides = (Side.LEFT.value, Side.RIGHT.value)
    return tuple(replace(unit, level=level, side=side) for side in sides)


def _stronger(one: Unit, other: Unit) -> Unit:
    """The place of ``one`` with the worst severity and the strongest certainty of both."""
    severity = max(one.severity, other.severity, key=_degree)
    certainty = max(one.certainty, other.certainty, key=CERTAINTIES.index)
    return replace(one, severity=severity, certainty=certainty)


def _without_summaries(units: list[Unit]) -> list[Unit]:
    """Units of one condition, one a place, without those that only sum others up."""
    held = {(unit.level, unit.side): unit for unit in units}
    # The least detailed first, so that what it hands on can be handed on again.
    for unit in sorted(
        units, key=lambda unit: ((unit.level is not None) + (unit.side is not None), unit.order)
    ):
        unit = held[unit.level, unit.side]
        told = [place for place, other in held.items() if _sums_up(unit, other)]
        if not told:
            continue
        del held[unit.level, unit.side]
        if len(told) == 1:
            other = held[told[0]]
            handed = _stronger(other, unit)
            held[told[0]] = handed if other.severity is None else replace(handed, severity=other.severity)
    return list(held.values())


def _sums_up(one: Unit, other: Unit) -> bool:
    """Whether ``other`` tells the place of ``one`` in more detail."""
    level = one.level is None or one.level == other.level
    side = one.side is None or one.side == other.side
    return level and side and (one.level, one.side) != (other.level, other.side)


def _rank(level: str) -> int:
    upper, _, lower = level.partition("-")
    return 2 * VERTEBRAE.index(upper) + bool(lower)


def _degree(severity: str | None) -> int:
    return 0 if severity is None else 1 + _SEVERITIES.index(severity)
