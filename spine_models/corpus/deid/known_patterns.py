"""Patterns that find one patient's known identifiers in prose, however they are spelled, ordered or broken.

Belongs here: turning ``KnownIdentifiers`` into regular expressions with a replacement each.
Does not belong here: guessing at identifiers that nobody told us of (cues, names).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Final

from spine_models.corpus.deid.dates import safe_date
from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.deid.terms import is_clinical

_BREAK: Final = r"(?:-?[ \t]*\r?\n[ \t]*)?"
_PREFIXES: Final = frozenset(
    [
        "dr",
        "prof",
        "mr",
        "mrs",
        "ms",
        "md",
        "do",
        "rn",
        "rt",
        "np",
        "pa",
        "jr",
        "sr",
        "ii",
        "iii",
        "the",
        "of",
        "and",
        "for",
        "de",
        "la",
        "van",
        "von",
        "der",
        "den",
        "st",
    ]
)
_MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_LONG: Final = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]


@dataclass(frozen=True)
class KnownPattern:
    """One pattern and what replaces it."""

    regex: re.Pattern[str]
    replacement: str


def fold(text: str) -> str:
    """Text without accents, of the same length, so that offsets stay."""
    out = []
    for char in text:
        base = unicodedata.normalize("NFKD", char)[:1]
        out.append(base if base and len(base) == 1 else char)
    return "".join(out)


def patterns_of(known: KnownIdentifiers) -> list[KnownPattern]:
    """Patterns in the order in which they must be applied: long and specific ones before single words."""
    groups = [
        ("[EMAIL]", [_flexible(v) for v in known.kind("email")]),
        ("[EMAIL]", [_word(v.split("@")[0]) for v in known.kind("email") if len(v.split("@")[0]) > 3]),
        ("[ADDRESS]", [p for v in known.kind("address") for p in _address(v)]),
        ("[PHONE]", [p for v in known.kind("phone") for p in _phone(v)]),
        ("[DATE]", [p for v in known.kind("birth") for p in _birth(v)]),
        ("[ID]", [p for v in known.kind("id", "uid") for p in _identifier(v)]),
        ("[PLACE]", [p for v in known.kind("place") for p in _place(v)]),
        ("[NAME]", sorted({p for v in known.kind("name") for p in _name(v)}, key=lambda p: (-len(p), p))),
    ]
    made = []
    for replacement, sources in groups:
        unique = [s for s in dict.fromkeys(sources) if s]
        if unique:
            made.append(KnownPattern(re.compile("|".join(unique), re.IGNORECASE), replacement))
    return made


def _letters(word: str) -> str:
    if len(word) < 4:
        return re.escape(word)
    return _BREAK.join(re.escape(c) for c in word)


def _flexible(value: str) -> str:
    parts = re.findall(r"\w+", fold(value))
    return r"(?<!\w)" + r"[\W_]{0,3}".join(_letters(p) for p in parts) + r"(?!\w)" if parts else ""


def _word(value: str) -> str:
    return rf"(?<!\w){re.escape(fold(value))}(?!\w)"


def _name(value: str) -> list[str]:
    words = [w for w in re.findall(r"[^\W\d_]+", fold(value)) if w.casefold() not in _PREFIXES]
    singles = [_flexible(w) + r"(?:['’]s)?" for w in re.findall(r"[^\W\d_]+['’][^\W\d_]+", fold(value))]
    for word in words:
        if len(word) >= 3 or (len(word) == 2 and len(words) > 1):
            guard = rf"(?-i:(?!{re.escape(word.lower())}\b))" if is_clinical(word) else ""
            case = rf"(?-i:{re.escape(word)}|{re.escape(word.upper())}|{re.escape(word.capitalize())})"
            body = case if len(word) == 2 else _letters(word)
            singles.append(rf"(?<![^\W\d_]){guard}{body}(?:['’]s)?(?![^\W\d_])")
    full = [w for w in words if len(w) >= 2]
    if len(full) >= 2:
        pair = "|".join(_letters(w) for w in full)
        singles.append(
            rf"(?<![^\W\d_])(?:{pair})(?:[\s,.\^=_-]{{1,4}}(?:[A-Z]\.?[\s,.]+)?(?:{pair}))+(?:\^[A-Z](?!\w))*(?:['’]s)?(?![^\W\d_])"
        )
    return singles


def _phone(value: str) -> list[str]:
    digits = re.sub(r"\D", "", re.split(r"(?i)x|ext", value)[0])
    if len(digits) < 6:
        return []
    core = digits[-10:]
    area = rf"(?:\+?{digits[:-10]}[\s().\-/]{{0,3}})?" if len(digits) > 10 else r"(?:\+?1[\s().\-/]{0,3})?"
    join = r"[\s().\-/]{0,3}"
    found = [rf"(?<!\d){area}\(?" + join.join(core) + r"(?:\s*(?:x|ext\.?)\s*\d{1,6})?(?!\d)"]
    if len(core) == 10:
        found.append(r"(?<!\d)" + join.join(core[3:]) + r"(?!\d)")
    return found


def _identifier(value: str) -> list[str]:
    found = []
    compact = re.sub(r"[^0-9A-Za-z]", "", value)
    if len(compact) < 3 or not any(c.isdigit() for c in compact):
        return [_flexible(value)] if len(compact) >= 4 and not is_clinical(value) else []
    if compact.isdigit():
        core = compact.lstrip("0")
        if len(core) >= 4:
            join = r"[ \-./]?" + r"(?:\r?\n)?"
            found.append(r"(?<![\d.])0*" + join.join(core) + r"(?!\d|\.\d)")
        elif core:
            found.append(rf"(?i:\b(?:mrn|id|record|accession|account|#)\W{{0,3}}0*{core}(?!\d))")
        return found
    join = r"[ \-_./]?" + r"(?:\r?\n)?"
    found.append(r"(?<![0-9A-Za-z])" + join.join(compact) + r"(?![0-9A-Za-z])")
    for run in re.findall(r"\d{5,}", value):
        found.append(rf"(?<!\d)0*{run.lstrip('0')}(?!\d)")
    return found


def _place(value: str) -> list[str]:
    words = re.findall(r"\w+", value)
    if len(value) < 4 or all(is_clinical(w) for w in words):
        return []
    found = [_flexible(value)]
    kinds = r"(?i)^(?:hospital|clinic|center|centre|imaging|radiology|medical|health|institute|the|of)$"
    core = [w for w in words if not re.match(kinds, w)]
    if 1 <= len(core) < len(words) and len("".join(core)) >= 5 and not all(is_clinical(w) for w in core):
        found.append(_flexible(" ".join(core)))
    return found


def _address(value: str) -> list[str]:
    found = [_flexible(value)]
    street = re.split(r"[,\n^]", value)[0]
    words = re.findall(r"\w+", street)
    if len(words) >= 2 and street != value:
        found.append(_flexible(street))
    if len(words) >= 3 and words[0].isdigit():
        found.append(_flexible(" ".join(words[:-1])))
        middle = [w for w in words[1:-1] if len(w) > 2 and not is_clinical(w)]
        if middle:
            found.append(_flexible(" ".join(words[1:])))
    for rest in re.split(r"[,\n^]", value)[1:]:
        zips = re.findall(r"\b\d{5}(?:-\d{4})?\b", rest)
        found += [rf"(?<!\d){z[:5]}(?:-\d{{4}})?(?!\d)" for z in zips]
        city = re.sub(r"\d.*|\b[A-Z]{2}\b", "", rest).strip()
        if len(city) > 3 and not all(is_clinical(w) for w in city.split()):
            found.append(_flexible(city))
    return found


def _birth(value: str) -> list[str]:
    day = _day(value)
    if day is None:
        return []
    y, m, d, yy = day.year, day.month, day.day, day.year % 100
    name = rf"(?:{_LONG[m - 1]}|{_MONTHS[m - 1]}t?\.?)"
    sep, year = r"[\s/.\-]{1,2}", rf"(?:{y}|'?{yy:02d})"
    return [
        rf"(?<!\d){y}{sep}0?{m}{sep}0?{d}(?!\d)",
        rf"(?<!\d){y}{m:02d}{d:02d}(?!\d)",
        rf"(?<!\d)0?{m}{sep}0?{d}{sep}{year}(?!\d)",
        rf"(?<!\d)0?{d}{sep}0?{m}{sep}{year}(?!\d)",
        rf"(?<!\d)(?:{m:02d}{d:02d}|{d:02d}{m:02d}){y}(?!\d)",
        rf"(?<!\d)0?{d}(?:st|nd|rd|th)?[\s\-.,]{{1,3}}(?:of\s+)?{name}[\s\-.,]{{1,3}}{year}(?!\d)",
        rf"\b{name}[\s\-.]{{1,3}}0?{d}(?:st|nd|rd|th)?[\s\-.,]{{1,3}}{year}(?!\d)",
    ]


def _day(value: str) -> date | None:
    text = value.strip()[:10]
    compact = re.fullmatch(r"(\d{4})[-/.]?(\d{1,2})[-/.]?(\d{1,2})", text)
    if compact:
        return safe_date(int(compact[1]), int(compact[2]), int(compact[3]))
    american = re.fullmatch(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d\d)", text)
    if not american:
        return None
    year = int(american[3]) if len(american[3]) == 4 else 1900 + int(american[3])
    return safe_date(year, int(american[1]), int(american[2])) or safe_date(
        year, int(american[2]), int(american[1])
    )
