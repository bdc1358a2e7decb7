"""First stage: which questions a study can answer, with what is right and what is plausibly wrong.

Every draft rests on one finding and its passage (or on a whole report), asks for something the passage tells, and tells
of the finding no more than is needed to know which one is meant: a question that two places would answer is not asked.

Belongs here: drafts and their wrong options. Does not belong here: words (``revise``, ``writer``), proof (``verify``).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from spine_models.config import InstructionSettings
from spine_models.domain import DISCS, VERTEBRAE, Severity, Status
from spine_models.reporting.instructions.cases import Case, Finding
from spine_models.reporting.instructions.sequences import advice
from spine_models.reporting.instructions.wording import words

PLACED: Final = ("level", "side", "severity")
_BEYOND: Final = 2
"""Levels above and below a part of the spine that its field of view usually shows."""

_CENTRAL: Final = frozenset({"herniation", "extramedullary", "intramedullary", "cyst"})
"""Conditions that can lie in the midline; of the others that is no plausible answer."""


@dataclass(frozen=True)
class Draft:
    """An item before it has words.

    Attributes:
        case: the study.
        kind: long | short | choice | report | multi_turn.
        dimension: condition | level | side | severity | next_sequence | report.
        finding: what is asked about; None of a report.
        asks: what each turn asks.
        told: what of the finding's place the first question tells.
        options: of a choice, the right one first; canonical names.
        sequence: of next_sequence.
        why: its reason.
    """

    case: Case = field(repr=False)
    kind: str
    dimension: str
    finding: Finding | None
    asks: tuple[str, ...]
    told: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    sequence: str | None = None
    why: str | None = None

    @property
    def key(self) -> str:
        """Digest of what is asked about which study; not of its words or wrong options."""
        f = self.finding
        place = (None,) * 4 if f is None else (f.condition, f.level, f.side, f.severity)
        parts = (self.case.study_key, self.kind, self.dimension, *place, *self.asks)
        return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]

    @property
    def right(self) -> str | None:
        """The canonical right answer, for balance: yes or no, a condition, a level, ..."""
        if self.options:
            return self.options[0]
        if self.dimension == "condition" and self.finding is not None:
            return "yes" if self.finding.status is Status.PRESENT else "no"
        return None


def drafts_of(
    case: Case,
    settings: InstructionSettings,
    frequency: Mapping[str, float],
    *,
    kinds: tuple[str, ...] | None = None,
) -> list[Draft]:
    """The drafts of one study, at most as many of a kind as the settings say, drawn by the seed.

    Args:
        case: the study.
        settings: numbers a study and kind, and of options.
        frequency: how often each condition is present: wrong options follow it, so that being frequent is no hint.
        kinds: which are wanted; all where None.
    """
    limits = {
        "short": settings.short_per_study,
        "long": settings.long_per_study,
        "choice": settings.choice_per_study,
        "multi_turn": settings.multi_turn_per_study,
        "report": 1,
    }
    found: dict[str, Draft] = {}
    for draft in _all(case, settings, frequency):
        if kinds is None or draft.kind in kinds:
            found.setdefault(draft.key, draft)
    chosen: list[Draft] = []
    for kind, limit in limits.items():
        own = [draft for draft in found.values() if draft.kind == kind]
        own.sort(key=lambda draft: _drawn(draft.key, settings.seed))
        chosen += _spread(own)[:limit]
    return chosen


def _spread(drafts: list[Draft]) -> list[Draft]:
    """One of each dimension and answer in turn, so that the first few are of all sorts."""
    turns: dict[tuple[str, str | None], int] = {}
    ranked = []
    for number, draft in enumerate(drafts):
        sort = (
            draft.dimension,
            draft.right if draft.dimension == "condition" and not draft.options else None,
        )
        turns[sort] = turns.get(sort, 0) + 1
        ranked.append((turns[sort], number, draft))
    return [draft for _, _, draft in sorted(ranked, key=lambda entry: entry[:2])]


def _drawn(key: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{key}".encode()).digest()


def _all(case: Case, settings: InstructionSettings, frequency: Mapping[str, float]) -> Iterator[Draft]:
    yield Draft(case, "report", "report", None, ("report",))
    asked: set[str] = set()
    for finding in case.findings:
        rng = random.Random(f"{settings.seed}|{case.study_key}|{finding}")
        first = finding.condition not in asked
        asked.add(finding.condition)
        if finding.status is Status.AMBIGUOUS:
            yield from _next_sequence(case, finding, settings, rng)
            continue
        if first:
            yield Draft(case, "short", "condition", finding, ("condition",))
        if finding.status is Status.ABSENT:
            yield Draft(case, "long", "condition", finding, ("statement",))
            continue
        if finding.alone:
            yield Draft(case, "long", "condition", finding, ("statement",))
            turns = tuple(name for name in PLACED if getattr(finding, name) is not None)
            if turns:
                yield Draft(case, "multi_turn", "condition", finding, ("condition", *turns, "statement"))
        if first and (options := _other_conditions(case, finding, settings, frequency, rng)):
            yield Draft(case, "choice", "condition", finding, ("choice_condition",), options=options)
        yield from _placed(case, finding, settings, rng)


def _placed(
    case: Case, finding: Finding, settings: InstructionSettings, rng: random.Random
) -> Iterator[Draft]:
    for asked in PLACED:
        value = getattr(finding, asked)
        told = _told(case, finding, asked)
        if value is None or told is None:
            continue
        yield Draft(case, "short", asked, finding, (asked,), told)
        options = _wrong(case, finding, asked, settings.options, rng)
        if len(options) > 1:
            yield Draft(case, "choice", asked, finding, (asked,), told, options)


def _told(case: Case, finding: Finding, asked: str) -> tuple[str, ...] | None:
    """What a question must tell so that only one place answers it; None where it cannot."""
    others = tuple(name for name in PLACED if name != asked and getattr(finding, name) is not None)
    sides = {"left", "right"} if finding.side == "bilateral" else {finding.side}
    for told in ((), *((name,) for name in others), others):
        rivals = [
            u for u in case.units(finding.condition) if _fits(u.level, u.side, u.severity, finding, told)
        ]
        values = {getattr(unit, asked) for unit in rivals}
        if asked == "severity":
            doubtful: set[str | None] = set()
        else:
            known = [p for p in case.places.get(finding.condition, ()) if _fits(*p, None, finding, told)]
            doubtful = {p[0 if asked == "level" else 1] for p in known} - {None}
        if asked == "side":
            doubtful -= {"bilateral"} if finding.side == "bilateral" else set()
            if values | doubtful <= sides:
                return told
        elif values | doubtful == {getattr(finding, asked)}:
            return told
    return None


def _fits(
    level: str | None, side: str | None, severity: str | None, finding: Finding, told: tuple[str, ...]
) -> bool:
    """Whether a place may be meant by what is told; what a place leaves open contradicts nothing."""
    if "level" in told and level is not None and level != finding.level:
        return False
    both = finding.side == "bilateral" and side in ("left", "right", "bilateral")
    if "side" in told and side is not None and side != finding.side and not both:
        return False
    return not ("severity" in told and severity is not None and severity != finding.severity)


def _wrong(case: Case, finding: Finding, asked: str, count: int, rng: random.Random) -> tuple[str, ...]:
    """The right answer and its wrong options."""
    value = str(getattr(finding, asked))
    if asked == "severity":
        return (value, *(str(s) for s in Severity if s != value))
    if asked == "side":
        sides = ["left", "right", "bilateral", *(["central"] if finding.condition in _CENTRAL else [])]
        return (value, *(side for side in sides if side != value)) if value in sides else ()
    return _levels(case, finding, count, rng)


def _levels(case: Case, finding: Finding, count: int, rng: random.Random) -> tuple[str, ...]:
    """Neighbouring levels that nothing is said of, so chosen that the right one has every rank among them alike.

    Taking the nearest ones on both sides would make the middle of the list the right answer.
    """
    assert finding.level is not None
    kind: tuple[str, ...] = DISCS if "-" in finding.level else VERTEBRAE
    part = [number for number, level in enumerate(kind) if level[0] == finding.level[0]]
    seen = kind[max(0, part[0] - _BEYOND) : part[-1] + 1 + _BEYOND]
    taken = {level for level, _ in case.places.get(finding.condition, ())} | {finding.level}
    touched = {part for level in taken if level for part in _touching(level)}
    free = [level for level in seen if level not in touched]
    rank = kind.index(finding.level)
    above = [level for level in free if kind.index(level) < rank][::-1]
    below = [level for level in free if kind.index(level) > rank]
    wanted = rng.randrange(count)
    chosen = [*above[:wanted], *below[: count - 1 - wanted]]
    spare = [*above[wanted:], *below[count - 1 - wanted :]]
    spare.sort(key=lambda level: abs(kind.index(level) - rank))
    return (finding.level, *chosen, *spare[: count - 1 - len(chosen)])


def _touching(level: str) -> set[str]:
    """A level and what names the same place otherwise: a disc and its two vertebrae."""
    if "-" in level:
        return {level, *level.split("-")}
    return {level, *(disc for disc in DISCS if level in disc.split("-"))}


def _other_conditions(
    case: Case,
    finding: Finding,
    settings: InstructionSettings,
    frequency: Mapping[str, float],
    rng: random.Random,
) -> tuple[str, ...]:
    """The condition and others whose label is 0; the denied and the easily mistaken ones come more often."""
    known = words()
    rivals = [
        key
        for key, (_, label) in case.labels.items()
        if label == 0 and key not in case.contradicted and not case.places.get(key)
    ]
    near = set(known.confused(finding.condition))
    weights = {key: frequency.get(key, 0.0) + 0.05 for key in rivals}
    for key in rivals:
        weights[key] *= 3.0 if key in near else 1.0
        weights[key] *= 1.5 if case.labels[key][0] == Status.ABSENT else 1.0
    chosen: list[str] = []
    while weights and len(chosen) < settings.options - 1:
        key = rng.choices(list(weights), list(weights.values()))[0]
        chosen.append(key)
        del weights[key]
    return (finding.condition, *chosen) if len(chosen) == settings.options - 1 else ()


def _next_sequence(
    case: Case, finding: Finding, settings: InstructionSettings, rng: random.Random
) -> Iterator[Draft]:
    given = advice(finding.condition, case.region, case.sequences)
    if given is None:
        return
    asks = ("next_sequence",)
    yield Draft(case, "long", "next_sequence", finding, asks, sequence=given.sequence, why=given.why)
    named = words().sequence
    wrong: dict[str, str] = {}
    for sequence in given.poor:  # two localizers have one name
        if named(sequence) != named(given.sequence):
            wrong.setdefault(named(sequence), sequence)
    own = [s for s in wrong.values() if s in case.sequences]
    other = [s for s in wrong.values() if s not in case.sequences]
    rng.shuffle(own)
    rng.shuffle(other)
    options = (given.sequence, *[*own, *other][: settings.options - 1])
    if len(options) > 2:
        yield Draft(
            case,
            "choice",
            "next_sequence",
            finding,
            asks,
            (),
            options,
            sequence=given.sequence,
            why=given.why,
        )
