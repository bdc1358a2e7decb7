"""The controlled vocabulary: what is left of a description, a coded string or a maker's model name.

Belongs here: reading ``vocabulary.yaml`` and rebuilding a text from its words.
Does not belong here: deciding which attribute is rebuilt (policy), or free prose (text).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Final
from unicodedata import combining, normalize

import yaml

_FIELDS: Final = {
    "description": ("contrast", "anatomy", "codes", "contrast_agents", "languages", "sequences"),
    "coil": ("coils", "anatomy", "contrast", "codes", "languages"),
    "vendor": ("vendors",),
    "model": ("models", "vendors"),
    "software": ("software", "vendors"),
    "ethnic": ("ethnic",),
    "anatomy_and_contrast": ("contrast", "anatomy"),
}
_PIECE: Final = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]+")
_SEGMENT: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_ONE_LEVEL: Final = r"(?:c[1-8]|t(?:h?1[0-3]|h?[1-9])|d(?:1[0-2]|[1-9])|l[1-6]|s[1-5])"
_LEVEL: Final = re.compile(rf"{_ONE_LEVEL}{{1,2}}", re.IGNORECASE)
_MATRIX: Final = re.compile(
    r"(?<![A-Za-z0-9.,/+-])(?<!\d[ _])(?:192|224|256|288|320|352|384|416|448|512|640|768)(?![A-Za-z0-9.,/+-])(?![ _]\d)"
)
"""Matrix sizes, alone between words: two numbers in a row could be a telephone's."""
_MEASURE: Final = re.compile(
    r"(?<![A-Za-z0-9.,-])(?:b\s?=?\s?\d{1,4}|\d{1,2}(?:\.\d{1,2})?\s?(?:mm|cm|ms|deg|T|%))(?![A-Za-z0-9-])"
)
_LINKS: Final = frozenset(
    [
        "no",
        "and",
        "of",
        "the",
        "or",
        "plus",
        "to",
        "for",
        "in",
        "on",
        "by",
        "at",
        "from",
        "de",
        "only",
        "all",
        "a",
        "is",
        "with",
        "without",
        "per",
        "ohne",
        "mit",
        "und",
        "nach",
        "vor",
        "sans",
        "avec",
        "sin",
        "con",
        "senza",
        "sem",
        "com",
        "zonder",
    ]
)
_JOINTS: Final = re.compile(r"[ _\-+/*.,:;#()<>%=&^]{1,3}")


@lru_cache(maxsize=1)
def _document() -> dict[str, str]:
    path = Path(__file__).with_name("vocabulary.yaml")
    document: dict[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


@lru_cache(maxsize=16)
def words(field: str) -> frozenset[str]:
    """Lower-case words that the field (description, coil, vendor, model, software, ethnic) may keep."""
    document = _document()
    return frozenset(word for part in _FIELDS[field] for word in str(document[part]).split())


@lru_cache(maxsize=8192)
def rebuild(text: str, field: str = "description", veto: Collection[str] = frozenset()) -> str:
    """The words of ``text`` that the vocabulary knows, with the separators between neighbours that stay.

    A number stays when it is part of a known form (``L5-S1``, ``b1000``, ``3mm``, ``HeadNeck_64``), never on its
    own, so that dates, telephones and record numbers fall apart. A text made of known words alone is unchanged.

    Args:
        text: one value, ASCII or not.
        field: which list of words applies.
        veto: lower-case words of a patient's identifiers; none of them stays.
    """
    known = words(field)
    text = without_accents(text)
    measures = [m.span() for pattern in (_MEASURE, _MATRIX) for m in pattern.finditer(text)]
    kept: list[tuple[int, int, bool]] = []
    for match in _PIECE.finditer(text):
        piece, start, end = match[0], match.start(), match.end()
        if not piece[0].isascii() or not piece[0].isalnum():
            continue
        inside = any(a <= start and end <= b for a, b in measures)
        after = kept[-1] if kept and _JOINTS.fullmatch(text[kept[-1][1] : start]) else None
        if piece.isdigit() and not inside and piece not in known:
            hashed = after is not None and text[after[1] : start] == "#" and len(piece) == 1
            joined = hashed or (
                after is not None and after[2] and " " not in text[after[1] : start] and len(piece) <= 3
            )
            chained = field == "coil" and after is not None and len(piece) == 1
            if joined or chained:
                kept.append((start, end, False))
        elif piece.casefold() not in veto and (inside or _known(piece, known, veto)):
            kept.append((start, end, not inside))
    kept = _without_spelling(text, kept)
    told = [text[a:b].casefold() for a, b, _ in kept]
    if all(word in _LINKS for word in told):
        return ""
    if len(told) * 3 < len(re.findall(r"[^\W_]+", text)):
        kept = [span for span, word in zip(kept, told, strict=True) if word not in _LINKS]
    return _joined(text, kept)


@lru_cache(maxsize=4096)
def without_accents(text: str) -> str:
    """Latin letters without their marks; anything else as it is."""
    return text if text.isascii() else "".join(c for c in normalize("NFKD", text) if not combining(c))


def _without_spelling(text: str, kept: list[tuple[int, int, bool]]) -> list[tuple[int, int, bool]]:
    """Without runs of three single letters and more, which could spell a word out."""
    out: list[tuple[int, int, bool]] = []
    run: list[tuple[int, int, bool]] = []
    for span in [*kept, (0, 2, False)]:
        if span[1] - span[0] == 1 and text[span[0]].isalpha():
            run.append(span)
            continue
        out += run if len(run) < 3 else []
        run = []
        out.append(span)
    return out[:-1]


def _known(piece: str, known: frozenset[str], veto: Collection[str]) -> bool:
    folded = piece.casefold()
    if folded in known:
        return True
    if _LEVEL.fullmatch(piece):
        return True
    segments = _SEGMENT.findall(piece)
    letters = [s.casefold() for s in segments if not s.isdigit()]
    if "".join(segments) != piece or any(len(s) > 3 for s in segments if s.isdigit()):
        return False
    if not any(len(word) > 1 for word in letters) or any(word in veto for word in letters):
        return False
    return all(word in known or (len(word) == 1 and len(segments) > 1) for word in letters)


def _joined(text: str, kept: list[tuple[int, int, bool]]) -> str:
    out: list[str] = []
    for index, (start, end, _) in enumerate(kept):
        gap = text[kept[index - 1][1] if index else 0 : start]
        if index:
            out.append(gap if _JOINTS.fullmatch(gap) else " ")
        elif gap in ("*", "%", "<", "_"):
            out.append(gap)
        out.append(text[start:end])
    tail = text[kept[-1][1] :] if kept else ""
    if (
        tail in (".", "*", "+")
        or (tail == ")" and "(" in "".join(out))
        or (tail == ">" and "<" in "".join(out))
    ):
        out.append(tail)
    return "".join(out)
