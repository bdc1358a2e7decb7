"""What a sentence takes from those before it: a place, a thing named already, the end of what they tell.

Belongs here: mentions, and what one sentence lends to the next. Does not belong here: what a sentence says by
itself (``labeller``), words left out (``ellipsis``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from spine_models.corpus.labels.rules.attributes import merge_sides, read_grades, severity_rank
from spine_models.corpus.labels.rules.ellipsis import another, graded_only
from spine_models.corpus.labels.rules.levels import LevelGroup, find_levels
from spine_models.corpus.labels.rules.lexicon import Lexicon
from spine_models.corpus.labels.rules.sections import Section
from spine_models.corpus.labels.rules.sentences import Sentence
from spine_models.domain import Region, Side, Status

_DENIES: Final = re.compile(
    r"\b(?:not (?:seen|present|visible)|none|resolved|gone|may|might|possibl[ey]|could|no longer)\b"
)
_COUNTED: Final = frozenset(
    {"herniation", "fracture", "cyst", "synovial", "hemangioma", "intramedullary", "extramedullary"}
)


@dataclass(frozen=True)
class Mention:
    """One condition in one sentence; ``start`` and ``end`` are of the evidence in the report."""

    condition: str
    status: Status
    levels: tuple[str, ...]
    side: Side | None
    severity: str | None
    section: Section
    start: int
    end: int


def last_place(read: list[Sentence], region: Region | None) -> LevelGroup | None:
    """The level named last, or that under which the text last stood."""
    for sentence in reversed(read):
        groups = find_levels(sentence.text, region)
        if groups or sentence.context is not None:
            return groups[-1] if groups else sentence.context
    return None


def last_disc(read: list[Sentence], text: str, region: Region | None) -> LevelGroup | None:
    """The one disc named last in the same paragraph, with no other place since."""
    for sentence in reversed(read):
        if "\n" in text[sentence.start :].strip():
            return None
        groups = find_levels(sentence.text, region)
        if not groups and sentence.text.startswith("no "):
            return None
        if groups:
            spans = [span for group in groups for span in group.spans]
            return groups[0] if len(set(spans)) == 1 and spans[0].first != spans[0].last else None
    return None


def one_more(
    sentence: Sentence,
    own: list[Mention],
    latest: list[Mention],
    section: Section,
    region: Region | None,
    words: Lexicon,
) -> Iterator[Mention]:
    """ "Others are at T5-6 and L2-3": one more of what the sentence before tells of, where it can be counted."""
    told = [m for m in latest if m.status is not Status.ABSENT]
    graded = graded_only(sentence.text) and len({m.condition for m in told}) == 1 and not own
    if not graded:
        told = [m for m in told if m.condition in _COUNTED and another(sentence.text)]
    if not told or _DENIES.search(sentence.text) or any(m.condition in _COUNTED for m in own):
        return
    groups = find_levels(sentence.text, region)
    if not groups:
        return
    model, phrases = told[-1], words.of(told[-1].condition)
    read = read_grades(sentence.text[:90], model.condition)
    side = merge_sides({g.side for g in read if g.side}) if phrases.lateral else None
    severity = (
        max((g.severity for g in read if g.severity), key=severity_rank, default=None) if graded else None
    )
    yield replace(
        model,
        levels=groups[0].names(phrases.level_kind),
        side=side,
        severity=severity.value if severity else None,
        section=section,
        start=sentence.start,
        end=sentence.start + len(sentence.text),
    )


def undone(mention: Mention) -> Mention:
    """A mention of which a later sentence says that it is over."""
    return replace(mention, status=Status.ABSENT, side=None, severity=None)
