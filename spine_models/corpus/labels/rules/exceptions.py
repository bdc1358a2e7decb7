"""What is denied everywhere but in one place: "no oedema except at L5-S1", "patent apart from the right C6-7".

Belongs here: the words that make an exception, and which place it names. Does not belong here: exceptions with a
finding of their own ("except mild narrowing at L4-5"), which ``narrowing`` and ``scope`` read.
"""

from __future__ import annotations

import re
from typing import Final

from spine_models.corpus.labels.rules.attributes import Grade, read_grades
from spine_models.corpus.labels.rules.ellipsis import Share
from spine_models.corpus.labels.rules.levels import LevelGroup

_EXCEPT: Final = re.compile(
    r"[\w ,/():-]{0,50}?\b(?:except(?:ing)?|apart from|aside from|other than|save"
    r"|with the exception of)(?: for| only)?"
    r"(?: (?:mild|moderate|severe|minimal|slight|marked)(?:ly)?)?"
    r"(?: at| in| of| on| that)?(?: of| at)?(?: the)?(?: left| right)?(?: the)? ?$"
)
_WORD: Final = ("except", "apart from", "aside from", "other than", "save ")
_NARROW: Final = frozenset({"canal", "neuroforaminal", "subarticular", "disc_height"})


def excepted(
    sentence: str, condition: str, span: tuple[int, int], groups: list[LevelGroup], *, denied: bool
) -> Share | None:
    """The one place that has what a sentence denies of all; null where it excepts none.

    Args:
        sentence: folded text.
        condition: of the finding; a structure called normal elsewhere is narrowed there, or lower.
        span: end of the finding, and start of the next.
        groups: every level of the sentence.
        denied: whether the finding is named and denied, and not told by a normal structure.
    """
    end, high = span
    if not any(word in sentence for word in _WORD) or not (denied or condition in _NARROW):
        return None
    place = next((group for group in groups if end <= group.start and group.end <= high), None)
    if place is None or not _EXCEPT.fullmatch(sentence[end : place.start]):
        return None
    read = read_grades(sentence[place.start - 12 : high], condition)
    return Share(place, read or [Grade(None, None)])
