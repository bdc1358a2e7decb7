"""What a report says of the examination itself: part, field strength, sequences, and what is missing.

Belongs here: facts of the series. Does not belong here: findings (``graph``), words (``phrasing``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from spine_models.domain import Contrast, Plane
from spine_models.reporting.agents import SCOUTS, ClaimStatus, Examination, SeriesFacts
from spine_models.reporting.reports.claims import Claim
from spine_models.reporting.reports.graph import TECHNIQUE, Kind, Statement, verbatim
from spine_models.reporting.reports.phrasing import joined
from spine_models.reporting.reports.template import Template


def technique_of(examination: Examination, claims: Sequence[Claim], template: Template) -> list[Statement]:
    """Statements of the technique section; expected sequences that were not found are named."""

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
        said.append(verbatim(TECHNIQUE, template.language.remarks[topic]))

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
    said.append(Statement(TECHNIQUE, Kind.NOTICE, "scope"))
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
