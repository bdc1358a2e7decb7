"""The claim graph of a report: what will be said, in which section, resting on which claims.

Belongs here: choosing, grouping and ordering of statements. Does not belong here: any wording; ``phrasing``
turns a statement into a sentence, and can use only what the statement carries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from spine_models.domain import Contrast, Plane
from spine_models.reporting.agents import SCOUTS, ClaimStatus, Examination, SeriesFacts
from spine_models.reporting.reports.template import Section, Template

NOTICE: Final = "NOTICE"
TECHNIQUE: Final = "TECHNIQUE"
IMPRESSION: Final = "IMPRESSION"


class Kind(StrEnum):
    """What a sentence does; technique and notice may stand without a claim."""

    FINDING = "finding"
    NEGATIVE = "negative"
    NOT_ASSESSED = "not_assessed"
    TECHNIQUE = "technique"
    NOTICE = "notice"


@dataclass(frozen=True)
class Claim:
    """The part of a claim that a sentence may rest on."""

    key: str
    condition: str
    status: ClaimStatus
    reason: str | None
    probability: float | None
    level: str | None
    side: str | None
    severity: str | None
    source_series: tuple[str, ...]

    @classmethod
    def of(cls, row: dict[str, Any]) -> Claim:
        """From one row of ``agents.CLAIMS``."""
        return cls(
            key=row["claim_key"],
            condition=row["condition"],
            status=ClaimStatus(row["status"]),
            reason=row["reason"],
            probability=row["probability"],
            level=row["level"],
            side=row["side"],
            severity=row["severity"],
            source_series=tuple(row["source_series"] or ()),
        )


@dataclass(frozen=True)
class Statement:
    """One thing to say: its frame, its claims in the order of mention, and facts of the study."""

    section: str
    kind: Kind
    frame: str
    claims: tuple[Claim, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)


def build_graph(examination: Examination, claims: Sequence[Claim], template: Template) -> list[Statement]:
    """All statements of one study's report, in the order of reading.

    Every claim is used in the section of its condition, and again in the impression unless it is a negative
    beside a positive.

    Raises:
        ValueError: a claim of a condition that the template does not know.
    """
    order = {c: i for i, c in enumerate(c for s in template.layout.sections for c in s.conditions)}
    unknown = sorted({claim.condition for claim in claims} - set(order))
    if unknown:
        raise ValueError(f"claims of unknown conditions {', '.join(unknown)}: run agents/claims again")
    ordered = sorted(claims, key=lambda claim: (order[claim.condition], claim.key))
    statements = [_verbatim(NOTICE, template.language.notice)]
    statements += _technique(examination, ordered, template)
    for section in template.layout.sections:
        statements += _section(section, [c for c in ordered if c.condition in section.conditions])
    return statements + _impression(ordered, template)


def _verbatim(section: str, text: str, claims: Iterable[Claim] = ()) -> Statement:
    return Statement(section, Kind.NOTICE, "verbatim", tuple(claims), {"text": text})


def _technique(examination: Examination, claims: Sequence[Claim], template: Template) -> list[Statement]:
    def fact(frame: str, **facts: str) -> Statement:
        return Statement(TECHNIQUE, Kind.TECHNIQUE, frame, (), facts)

    several = len(examination.parts) > 1
    topic = "several" if several else str(examination.region)
    title = template.language.titles[topic].format(parts=joined([str(p) for p in examination.parts], "and"))
    fields = sorted({s.field_strength_t for s in examination.series if s.field_strength_t})
    strength = joined([f"{value:g} T" for value in fields], "and")
    frame = "examined" if strength else "examined_unrecorded"
    said = [fact(frame, title=title, **({"field_strength": strength} if strength else {}))]
    if topic in template.language.remarks:
        said.append(_verbatim(TECHNIQUE, template.language.remarks[topic]))

    named = [s for s in examination.series if s.contrast is not None]
    if named:
        said.append(fact("sequences", sequences=_sequences(named, template)))
    elif not examination.series:
        said.append(fact("no_sequences"))
    if len(named) < len(examination.series):
        said.append(fact("unclassified", count=str(len(examination.series) - len(named))))
    missing = [
        wanted.name
        for wanted in template.layout.expected
        if not any(s.plane == wanted.plane and s.contrast in wanted.contrasts for s in named)
    ]
    if missing:
        said.append(fact("missing", sequences=joined(missing, "and")))

    assessed = [c for c in claims if c.status != ClaimStatus.NOT_ASSESSED]
    read = {key for claim in assessed for key in claim.source_series}
    unread = [s for s in named if s.series_key not in read and s.contrast not in SCOUTS]
    if assessed and unread:
        said.append(fact("not_read", sequences=_sequences(unread, template)))
    unplaced = tuple(c for c in assessed if not (c.level or c.side or c.severity))
    if unplaced and len(unplaced) == len(assessed):
        said.append(Statement(TECHNIQUE, Kind.TECHNIQUE, "whole_study", unplaced))
    said.append(Statement(TECHNIQUE, Kind.NOTICE, "scope", ()))
    return said


def _sequences(series: Sequence[SeriesFacts], template: Template) -> str:
    """Series by contrast and plane, counted, in the order of the vocabulary."""
    rank = {name: i for i, name in enumerate((*Contrast, *Plane))}
    counts = Counter((s.contrast, s.plane) for s in series if s.contrast is not None)
    words = []
    for (contrast, plane), count in sorted(counts.items(), key=lambda item: [rank[name] for name in item[0]]):
        name = template.language.contrasts[contrast]
        placed = contrast not in SCOUTS and plane != Plane.UNKNOWN
        many = f" ({count} series)" if count > 1 else ""
        words.append(f"{plane} {name}{many}" if placed else f"{name}{many}")
    return ", ".join(dict.fromkeys(words))


def _section(section: Section, claims: Sequence[Claim]) -> list[Statement]:
    said: list[Statement] = []
    if section.limits:
        said.append(_verbatim(section.title, section.limits))
    unplaced = [c for c in claims if not c.level]
    if section.per_level and unplaced:
        said.append(_verbatim(section.title, section.per_level, unplaced))
    for claim in (c for c in claims if c.status == ClaimStatus.PRESENT):
        said.append(Statement(section.title, Kind.FINDING, "present", (claim,)))
    doubtful = tuple(c for c in claims if c.status == ClaimStatus.INDETERMINATE)
    if doubtful:
        said.append(Statement(section.title, Kind.FINDING, "indeterminate", doubtful))
    absent = tuple(c for c in claims if c.status == ClaimStatus.ABSENT)
    if absent:
        said.append(Statement(section.title, Kind.NEGATIVE, "negative", absent))
    for reason, group in _by_reason(claims):
        said.append(Statement(section.title, Kind.NOT_ASSESSED, "not_assessed", group, {"reason": reason}))
    return said


def _impression(claims: Sequence[Claim], template: Template) -> list[Statement]:
    ranked = sorted(
        claims, key=lambda c: (template.tier(c.condition), -(c.probability or 0.0), c.condition, c.key)
    )
    present = [c for c in ranked if c.status == ClaimStatus.PRESENT]
    doubtful = tuple(c for c in ranked if c.status == ClaimStatus.INDETERMINATE)
    assessed = tuple(c for c in ranked if c.status != ClaimStatus.NOT_ASSESSED)
    said = [Statement(IMPRESSION, Kind.FINDING, "impression_present", (claim,)) for claim in present]
    if assessed and not present:
        said.append(Statement(IMPRESSION, Kind.NEGATIVE, "impression_none", assessed))
    if doubtful:
        said.append(Statement(IMPRESSION, Kind.FINDING, "impression_indeterminate", doubtful))
    groups = _by_reason(ranked)
    frame = "impression_nothing" if not assessed and len(groups) == 1 else "impression_not_assessed"
    for reason, group in groups:
        said.append(Statement(IMPRESSION, Kind.NOT_ASSESSED, frame, group, {"reason": reason}))
    return said


def _by_reason(claims: Iterable[Claim]) -> list[tuple[str, tuple[Claim, ...]]]:
    groups: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.status == ClaimStatus.NOT_ASSESSED:
            groups.setdefault(claim.reason or "no reason given", []).append(claim)
    return [(reason, tuple(group)) for reason, group in groups.items()]


def joined(words: Sequence[str], last: str) -> str:
    """``a``, ``a and b``, ``a, b and c`` with ``last`` as the final conjunction."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
