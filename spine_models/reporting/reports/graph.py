"""The claim graph of a report: what will be said, in which section, resting on which claims and places.

Belongs here: choosing, grouping and ordering of statements. Does not belong here: any wording (``phrasing`` turns a
statement into a sentence, and can use only what the statement carries), what was examined (``technique``), earlier
studies (``comparison``), text of a model (``linking``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from spine_models.corpus.labels.rules.levels import level_rank
from spine_models.corpus.statements import CERTAINTIES, Unit
from spine_models.reporting.agents import ClaimStatus
from spine_models.reporting.reports.claims import Claim, Place
from spine_models.reporting.reports.template import Section, Template

NOTICE: Final = "NOTICE"
TECHNIQUE: Final = "TECHNIQUE"
COMPARISON: Final = "COMPARISON"
LIMITATIONS: Final = "LIMITATIONS"
IMPRESSION: Final = "IMPRESSION"
UNDETERMINED: Final = "neither present nor absent with enough certainty"


class Kind(StrEnum):
    """What a sentence does; technique and notice may stand without a claim."""

    FINDING = "finding"
    NEGATIVE = "negative"
    UNDETERMINED = "undetermined"
    NOT_ASSESSED = "not_assessed"
    COMPARISON = "comparison"
    TECHNIQUE = "technique"
    NOTICE = "notice"


@dataclass(frozen=True)
class Said:
    """A claim in a sentence, with those of its units that the sentence affirms."""

    claim: Claim
    units: tuple[Unit, ...] = ()

    @property
    def places(self) -> tuple[Place, ...]:
        """Where the claim's agent saw what is said here."""
        return self.claim.places_of(self.units) if self.units else ()


@dataclass(frozen=True)
class Statement:
    """One thing to say: its frame, its claims in the order of mention, and facts of the study.

    ``level``: of a line that is about one level. ``earlier``: claims of an earlier study that it compares with.
    """

    section: str
    kind: Kind
    frame: str
    said: tuple[Said, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    level: str | None = None
    earlier: tuple[Claim, ...] = ()

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The claims that it rests on, each once."""
        return tuple(dict.fromkeys(said.claim for said in self.said))


def verbatim(section: str, text: str, claims: Iterable[Claim] = ()) -> Statement:
    """A sentence of the template as it stands."""
    return Statement(section, Kind.NOTICE, "verbatim", tuple(map(Said, claims)), {"text": text})


def findings_of(claims: Sequence[Claim], template: Template) -> list[Statement]:
    """Every section between technique and impression, in the order of reading.

    Raises:
        ValueError: a claim of a condition that the template does not know.
    """
    order = {c: i for i, c in enumerate(c for s in template.layout.sections for c in s.conditions)}
    unknown = sorted({claim.condition for claim in claims} - set(order))
    if unknown:
        raise ValueError(f"claims of unknown conditions {', '.join(unknown)}: run agents/claims again")
    ordered = sorted(claims, key=lambda claim: (order[claim.condition], claim.key))
    said: list[Statement] = []
    for section in template.layout.sections:
        said += _section(section, ordered, template)
    return said + _limitations(ordered)


def _section(section: Section, claims: Sequence[Claim], template: Template) -> list[Statement]:
    own = [claim for claim in claims if claim.condition in section.conditions]
    said = [verbatim(section.title, section.limits)] if section.limits else []
    affirmed = sorted((claim for claim in own if claim.affirmed), key=lambda claim: _weight(claim, template))
    for claim in affirmed:
        unplaced = tuple(unit for unit in claim.units if unit.level is None)
        if unplaced:
            said.append(Statement(section.title, Kind.FINDING, "unplaced", (Said(claim, unplaced),)))
    if not section.by_level:
        for claim in affirmed:
            placed = tuple(unit for unit in claim.units if unit.level is not None)
            if placed:
                said.append(Statement(section.title, Kind.FINDING, "finding", (Said(claim, placed),)))
    absent = tuple(Said(claim) for claim in own if claim.absent)
    if absent:
        said.append(Statement(section.title, Kind.NEGATIVE, "negative", absent))
    if not affirmed and not absent:
        open_ = any(claim.undetermined for claim in own)
        kind = Kind.UNDETERMINED if open_ else Kind.NOT_ASSESSED
        frame = "see_limitations" if open_ else "section_not_assessed"
        said.append(Statement(section.title, kind, frame, tuple(map(Said, own))))
    if section.by_level:
        said += level_lines(section, claims, template)
    return said


def level_lines(section: Section, claims: Sequence[Claim], template: Template) -> list[Statement]:
    """A line for every level of the region; of the abnormal ones alone where the template lists none.

    A level without a finding is called free of what is absent in the whole study. An agent that found something
    elsewhere has not said that this level is normal, so the line then says only that nothing was placed here.
    """
    told = [claim for claim in claims if claim.condition in section.by_level]
    found = {unit.level for claim in told for unit in claim.units if unit.level is not None}
    levels = sorted(found.union(template.layout.levels), key=level_rank)
    if not any(claim.affirmed or claim.absent for claim in told):
        return []
    absent = tuple(Said(claim) for claim in told if claim.absent)
    lines = []
    for level in levels:
        here = tuple(
            Said(claim, units)
            for claim in told
            if (units := tuple(unit for unit in claim.units if unit.level == level))
        )
        if here:
            line = Statement(section.title, Kind.FINDING, "level_finding", here, level=level)
        elif len(absent) == len(told):
            line = Statement(section.title, Kind.NEGATIVE, "level_free", absent, level=level)
        else:
            known = tuple(Said(claim) for claim in told if claim.affirmed or claim.absent)
            line = Statement(section.title, Kind.NEGATIVE, "level_silent", known, level=level)
        lines.append(line)
    if not levels:
        known = tuple(Said(claim) for claim in told if claim.affirmed or claim.absent)
        lines = [Statement(section.title, Kind.NEGATIVE, "no_level", known)]
    return lines


def _limitations(claims: Sequence[Claim]) -> list[Statement]:
    """What the agents could not tell, and what they did not look at, by reason."""
    said: list[Statement] = []
    for kind, frame, members in (
        (Kind.UNDETERMINED, "undetermined", [claim for claim in claims if claim.undetermined]),
        (Kind.NOT_ASSESSED, "not_assessed", _unassessed(claims)),
    ):
        for reason, group in _by_reason(members):
            said.append(Statement(LIMITATIONS, kind, frame, tuple(map(Said, group)), {"reason": reason}))
    return said


def impression_of(claims: Sequence[Claim], template: Template) -> list[Statement]:
    """The numbered end: what is affirmed by importance, then what could not be told."""
    affirmed = sorted((c for c in claims if c.affirmed), key=lambda claim: _weight(claim, template))
    said = [Statement(IMPRESSION, Kind.FINDING, "finding", (Said(c, c.units),)) for c in affirmed]
    assessed = sorted((c for c in claims if c.status != ClaimStatus.NOT_ASSESSED), key=_place)
    absent = tuple(Said(c) for c in assessed if c.absent)
    undetermined = tuple(Said(c) for c in assessed if c.undetermined)
    lost = sorted(_unassessed(claims), key=_place)
    if not affirmed and absent:
        frame = "impression_none" if undetermined or lost else "impression_normal"
        said.append(Statement(IMPRESSION, Kind.NEGATIVE, frame, absent))
    if undetermined:
        said.append(Statement(IMPRESSION, Kind.UNDETERMINED, "impression_undetermined", undetermined))
    if lost:
        groups = _by_reason(lost)
        frame = "impression_not_assessed"
        if not assessed:
            frame = "impression_nothing" if len(groups) == 1 else "impression_nothing_for_reasons"
        facts = {"reason": groups[0][0]}
        said.append(Statement(IMPRESSION, Kind.NOT_ASSESSED, frame, tuple(map(Said, lost)), facts))
    return said


def _weight(claim: Claim, template: Template) -> tuple[int, int, float, str, str]:
    """Clinical importance first, then certainty, then probability."""
    doubt = len(CERTAINTIES) - CERTAINTIES.index(claim.certainty)
    return (template.tier(claim.condition), doubt, -(claim.probability or 0.0), claim.condition, claim.key)


def _place(claim: Claim) -> tuple[str, str]:
    return claim.condition, claim.key


def _unassessed(claims: Iterable[Claim]) -> list[Claim]:
    return [claim for claim in claims if claim.status == ClaimStatus.NOT_ASSESSED and not claim.affirmed]


def _by_reason(claims: Iterable[Claim]) -> list[tuple[str, tuple[Claim, ...]]]:
    groups: dict[str, list[Claim]] = {}
    for claim in claims:
        silent = UNDETERMINED if claim.undetermined else "no reason given"
        groups.setdefault(claim.reason or silent, []).append(claim)
    return [(reason, tuple(group)) for reason, group in groups.items()]
