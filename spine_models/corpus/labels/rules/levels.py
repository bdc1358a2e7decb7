"""Levels as reports write them, in canonical form: disc ``L4-L5`` or vertebra ``L4``.

Belongs here: pairs, short pairs, slashes, lists and ranges; telling the vertebra T1 from a T1-weighted image and
a level from a nerve root. Does not belong here: which finding a level is about (``attributes``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from spine_models.domain import DISCS_OF_REGION, VERTEBRAE, Region

_RANK: Final = {name: index for index, name in enumerate(VERTEBRAE)}

_ONE: Final = r"(?:c-?[1-7]|[td]-?1[0-2]|[td]-?[1-9]|l-?[1-5]|s-?1)(?!\d)"
_JOIN: Final = r" ?(?:-|/) ?"
_PAIR: Final = (
    rf"{_ONE}{_JOIN}(?:{_ONE}|1[0-2](?!\d)|[1-9](?!\d|\.\d|%| ?(?:mm|cm)\b))"
    rf"|{_ONE} (?:(?:(?:is|has) )?(?:displaced|slipped|subluxed|translated|forward|backward|anteriorly"
    rf"|posteriorly)(?: \w+)? )?"
    rf"(?:on|over|upon|relative to|with respect to) {_ONE}"
)
_ITEM: Final = re.compile(rf"(?<![a-z0-9])(?:{_PAIR}|{_ONE})(?![a-z])")
_NOT_A_PLACE: Final = re.compile(
    r"[ -]*(?:(?:exiting|traversing|descending|spinal|dorsal|ventral)[ ]*)?(?:nerve(?! (?:root )?(?:sleeve"
    r"|sheath))|roots?\b(?! sleeve)|radicul"
    r"|dermatom|myotom|(?:\w+ )?(?:symptom|distribution|territor|sensory|motor|reflex|pain\b|weakness|numb|pals))"
)
_IMAGE: Final = re.compile(
    r"[ ,/()-]*(?:w\b|wi\b|weight|signal|hyper|hypo|iso-?(?:intens|signal)|bright|dark|intens|short|prolong"
    r"|sequence"
    r"|imag|stir|flair|fat\b|fse|tse|space|vibe|gre\b|axial|sagittal|coronal|dixon|post|pre-?contrast"
    r"|values?|relax"
    r"|contrast|map|lengthen|(?:and|or)? ?t[12][ -]*(?:w|weight|signal|hyper|hypo|imag|,? and|,? stir|/))"
)
_BODY_AFTER: Final = re.compile(
    r" ?(?:vertebra|bod(?:y|ies)|level|fracture|compress|superior|inferior|end-?plate|pedicle"
    r"|h(?:a)?emangioma|spinous"
    r"|burst|wedge|lamina|transverse)"
)
_BODY_BEFORE: Final = re.compile(
    r"\b(?:at|of|in|within|involving|through|to|from|the|superior|inferior|and|or|c7,?|t2,?)[ ]*$"
)
_SEQUENCES: Final = re.compile(
    r"\b(?:on|both|bright|hyper-?intense|high|low|dark)(?: on)?(?: both)? t1(?:,| and| or|/| &|-) ?$"
)
"""What makes the T2 behind it an image, as in "bright on T1 and T2"."""
_RANGE: Final = re.compile(r" ?(?:through|thru|to|down to|until|up to|-) ?(?:the )?$")
_LIST: Final = re.compile(
    r"[ ]*(?:,|/|&|and|or|as well as|, and|, or|, as well as|plus|and/or)?[ ]*(?:at |the )?$"
)
_ALL: Final = re.compile(
    r"\b(?:at |throughout )?(?:all|every|each)(?: of the)?(?: visuali[sz]ed| imaged| remaining)?"
    r" (?:(cervical|thoracic|lumbar) )?(?:dis[ck] )?levels?\b"
)


@dataclass(frozen=True)
class Span:
    """First and last vertebra of a level or range; ``first == last`` is a vertebra."""

    first: str
    last: str

    def names(self, kind: str) -> tuple[str, ...]:
        """Canonical names: bodies for kind ``vertebra``, else discs (a lone vertebra stays one)."""
        low, high = _RANK[self.first], _RANK[self.last]
        if low == high:
            return (self.first,)
        if kind == "vertebra":
            return VERTEBRAE[low : high + 1]
        return tuple(
            f"{a}-{b}" for a, b in zip(VERTEBRAE[low:high], VERTEBRAE[low + 1 : high + 1], strict=True)
        )


@dataclass(frozen=True)
class LevelGroup:
    """Levels written as one list or range: ``start`` and ``end`` are offsets in the text searched."""

    start: int
    end: int
    spans: tuple[Span, ...]

    def names(self, kind: str) -> tuple[str, ...]:
        """Canonical names of the whole group, without repetition, from head to tail."""
        found = {name for span in self.spans for name in span.names(kind)}
        return tuple(sorted(found, key=level_rank))


def level_rank(name: str) -> tuple[int, int]:
    """Sorting key from head to tail; a vertebra stands before the disc below it."""
    upper, _, lower = name.partition("-")
    return (_RANK[upper], 1 if lower else 0)


def find_levels(text: str, region: Region | None = None) -> list[LevelGroup]:
    """Groups of levels in ``text`` (folded), in order.

    "at all levels" gives every disc of ``region``, or of the region that it names; nothing where neither is
    known.
    """
    items = [(m.start(), m.end(), span) for m in _ITEM.finditer(text) if (span := _span(text, m)) is not None]
    groups: list[LevelGroup] = []
    for start, end, span in items:
        between = text[groups[-1].end : start] if groups else None
        if between is not None and _RANGE.fullmatch(between):
            before = groups[-1]
            merged = _ranged(before.spans[-1], span)
            groups[-1] = LevelGroup(before.start, end, (*before.spans[:-1], *merged))
        elif between is not None and _LIST.fullmatch(between):
            groups[-1] = LevelGroup(groups[-1].start, end, (*groups[-1].spans, span))
        else:
            groups.append(LevelGroup(start, end, (span,)))
    for match in _ALL.finditer(text):
        where = Region(match.group(1)) if match.group(1) else region
        discs = DISCS_OF_REGION.get(where, ()) if where is not None else ()
        if discs:
            spans = tuple(Span(*disc.split("-")) for disc in discs)
            groups.append(LevelGroup(match.start(), match.end(), spans))
    return sorted(groups, key=lambda group: group.start)


def region_of(text: str) -> Region | None:
    """The one region whose name the folded text says most often; null where none or a tie."""
    counts = [(text.count(region.value), region) for region in DISCS_OF_REGION]
    counts.sort(key=lambda pair: -pair[0])
    return counts[0][1] if counts[0][0] > counts[1][0] else None


def _span(text: str, match: re.Match[str]) -> Span | None:
    found = re.findall(r"[ctdls]?\d{1,2}", re.sub(r"(?<=[ctdls])-(?=\d)", "", match.group(0)))
    first = found[0].upper().replace("D", "T")
    last = found[-1].upper().replace("D", "T")
    if last[0].isdigit():
        last = _completed(first, last)
        if last is None:
            return None
    after = text[match.end() : match.end() + 40]
    if _NOT_A_PLACE.match(after):
        return None
    if {first, last} <= {"T1", "T2"}:
        before = text[max(0, match.start() - 20) : match.start()]
        if _IMAGE.match(after):
            return None
        if _SEQUENCES.search(before):
            return None
        if first == last and not (_BODY_AFTER.match(after) or _BODY_BEFORE.search(before)):
            return None
    if first not in _RANK or last not in _RANK:
        return None
    if _RANK[first] > _RANK[last]:
        first, last = last, first
    return Span(first, last)


def _completed(first: str, digits: str) -> str | None:
    """ "5" after "L4" is L5, "1" after "L5" is S1, after "C7" T1, after "T12" L1."""
    letter, number = first[0], int(digits)
    if number == 1 and first in ("L5", "T12", "C7"):
        return {"L5": "S1", "T12": "L1", "C7": "T1"}[first]
    name = f"{letter}{number}"
    return name if name in _RANK and _RANK[name] > _RANK[first] else None


def _ranged(before: Span, after: Span) -> tuple[Span, ...]:
    """A range from one level to another, which must lie below it; two separate levels otherwise."""
    if _RANK[after.last] <= _RANK[before.first]:
        return (before, after)
    return (Span(before.first, after.last),)
