"""The part of a report that a model can be asked to write from one examination: its findings and its impression.

Letterheads, signatures, addenda and telephone calls say nothing of the images; comparisons speak of images that the
model does not see. Clauses of comparison are cut off their sentences, the rest of which stays word for word; a sentence
that still compares is left out where it affirms nothing, and otherwise there is no such item.

Belongs here: cutting a report's text. Does not belong here: what it means (``claims``), checks (``verify``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from spine_models.corpus.labels.rules.sections import Section, Sections
from spine_models.corpus.labels.rules.sentences import evidence_sentences, fold
from spine_models.corpus.statements import units_of_text
from spine_models.reporting.instructions.reading import COMPARED, is_private

_PRIOR: Final = (
    r"(?:on |in |at |of )?(?:the |an? )?(?:outside |most recent |last )?"
    r"(?:prior|previous|earlier|last|\[?date|\d)"
)
_CLAUSE: Final = re.compile(
    r",? ?\(?\b(?:(?:is|are|and|which is|now|appears?|mildly|slightly|grossly|overall|essentially|largely) )*"
    r"(?:(?:unchanged|stable|similar|new|progressed|improved|worsened|larger|smaller|worse"
    r"|(?:in|de)creased(?: in size)?|not significantly changed)(?: in (?:size|appearance|extent))?"
    r" (?:since|from|to|(?:when )?compared (?:with|to)|in comparison (?:with|to)|relative to)"
    # "right worse than left" compares nothing with an earlier image.
    rf"|(?:(?:less|more) \w+|worse|larger|smaller|better) than(?= {_PRIOR}))\b[^.;]*?"
    r"(?=[.;]|$)",
    re.IGNORECASE,
)
_ASIDE: Final = re.compile(
    r"\b(?:dictated|transcribed|signed|electronically|discussed with|communicated|called to|read by)\b"
    r"|\btechnologist\b|\bno change to the interpretation\b|\bacc#|\baccession\b|\btel\.",
    re.IGNORECASE,
)
_ADDENDUM: Final = re.compile(r"addend(?:um|a)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Body:
    """What is left of a report, and the span of the report that it was cut from."""

    text: str
    start: int
    end: int


def body_of(text: str) -> Body | None:
    """Findings and impression of a report, without comparisons; None where too little or a comparison is left.

    Args:
        text: a de-identified report.
    """
    sections = Sections(fold(text))
    kept: dict[Section, list[str]] = {Section.FINDINGS: [], Section.IMPRESSION: []}
    where: Section | None = None
    first, last, closed = None, 0, False
    for sentence in evidence_sentences(text):
        end = sentence.start + len(sentence.text)
        own = text[sentence.start : end].strip()
        closed = closed or _ADDENDUM.match(own) is not None
        if closed or _ASIDE.search(own):
            continue
        cut = _CLAUSE.sub("", own).strip()
        if is_private(cut) or COMPARED.search(cut):
            if units_of_text(cut):
                return None
            continue
        if len(re.sub(r"[^A-Za-z]", "", cut)) < 4:
            continue
        # A level at the head of a line holds for the whole line, so lines stay as they are.
        section = sections.at(sentence.start)
        if section is where and "\n" not in text[last : sentence.start]:
            kept[section][-1] += f" {cut}"
        else:
            kept[section].append(cut)
        where = section
        first, last = sentence.start if first is None else first, end
    if first is None:
        return None
    findings = kept[Section.FINDINGS]
    lines = ["FINDINGS:", *findings] if findings else []
    if kept[Section.IMPRESSION]:
        lines += ["IMPRESSION:", *(f"{n}. {line}" for n, line in enumerate(kept[Section.IMPRESSION], 1))]
    return Body("\n".join(lines), first, last)
