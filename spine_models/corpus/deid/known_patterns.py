"""Patterns that find one patient's known identifiers in prose, however they are spelled, ordered or broken.

Belongs here: turning ``KnownIdentifiers`` into regular expressions with a replacement each.
Does not belong here: guessing at identifiers that nobody told us of (cues, names).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from spine_models.corpus.deid.date_grammar import month_names, safe_date
from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.deid.terms import is_clinical, ordinary

_BREAK: Final = r"(?:-?[ \t]*\r?\n[ \t]*)?"
_TITLES: Final = frozenset(
    "dr prof mr mrs ms md do rn rt np pa jr sr ii iii the of and for st".split()  # noqa: SIM905
)
_PARTICLES: Final = frozenset(
    "de la le del della di da dos das du van von der den ter ten te el al bin ibn mac mc o ni y zu".split()  # noqa: SIM905
)
_PREFIXES: Final = _TITLES | _PARTICLES
_ROMAN: Final = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_SINGLE: Final = {
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ı": "i",
    "ß": "s",
    "æ": "a",
    "Æ": "A",
} | {"œ": "o", "Œ": "O", "ð": "d", "Ð": "D", "þ": "t", "Þ": "T", "ə": "e", "ħ": "h", "ŋ": "n"}
"""Letters without a decomposition, and one letter for each; ``_spelled`` knows their two-letter spellings."""
_OPENINGS: Final = {"[PHONE]": r"(?=[+()\d])", "[DATE]": r"(?=\d|\b[^\W\d_])"}
_DOUBLES: Final = {"ae": "ae?", "oe": "oe?", "ue": "ue?", "ss": "ss?", "aa": "aa?", "th": "th?"}


@dataclass(frozen=True)
class KnownPattern:
    """One pattern and what replaces it."""

    regex: re.Pattern[str]
    replacement: str


def fold(text: str) -> str:
    """Text without accents, of the same length, so that offsets stay."""
    if text.isascii():
        return text
    return "".join(c if c.isascii() else _folded(c) for c in text)


@lru_cache(maxsize=4096)
def _folded(char: str) -> str:
    base = _SINGLE.get(char) or unicodedata.normalize("NFKD", char)[:1]
    return base if base and len(base) == 1 else char


@lru_cache(maxsize=64)
def patterns_of(known: KnownIdentifiers) -> tuple[KnownPattern, ...]:
    """Patterns in the order in which they must be applied: long and specific ones before single words.

    Making them costs as much as cleaning a report, and one patient has several.
    """
    groups = [
        ("[EMAIL]", [p for v in known.kind("email") for p in (_flexible(v), _mail(v))]),
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
            made.append(
                KnownPattern(re.compile(_opened("|".join(unique), replacement), re.IGNORECASE), replacement)
            )
    return tuple(made)


def _opened(pattern: str, replacement: str) -> str:
    """The pattern behind a look at what its finds may begin with, where that spares most of the tries."""
    return f"{_OPENINGS[replacement]}(?:{pattern})" if replacement in _OPENINGS else pattern


def _letters(word: str) -> str:
    """A word letter by letter, in any of its spellings, with a line end possible between letters."""
    parts = _spelled(word)
    return "".join(parts) if len(word) < 4 else _BREAK.join(parts)


def _spelled(word: str) -> list[str]:
    """Patterns of a word's letters: umlauts and their like match with and without their second letter."""
    parts, at = [], 0
    while at < len(word):
        pair = fold(word[at : at + 2]).casefold()
        if pair in _DOUBLES and word[at].isascii():
            parts.append(_DOUBLES[pair])
            at += 2
            continue
        letter = re.escape(fold(word[at]))
        second = {"ä": "e", "ö": "e", "ü": "e", "ø": "e", "æ": "e", "œ": "e", "ß": "s", "å": "a", "þ": "h"}
        parts.append(f"{letter}{second[word[at].casefold()]}?" if word[at].casefold() in second else letter)
        at += 1
    return parts


def _flexible(value: str) -> str:
    parts = re.findall(r"\w+", value)
    return r"(?<!\w)" + r"[\W_]{0,3}".join(_letters(p) for p in parts) + r"(?!\w)" if parts else ""


def _mail(value: str) -> str:
    """An address whose at-sign and dots are spelled out."""
    local, _, domain = value.partition("@")
    if not domain:
        return ""
    dot = r"[ ]*(?:[.(\[{]|\bdot\b)?[ ]*(?:dot\b)?[ ]*[)\]}]?[ ]*"
    first = dot.join(_letters(w) for w in re.findall(r"\w+", local))
    rest = dot.join(_letters(w) for w in re.findall(r"\w+", domain))
    return rf"(?<!\w){first}\s*(?:@|[(\[{{]?\s*\bat\b\s*[)\]}}]?)\s*{rest}(?!\w)"


def _word(value: str) -> str:
    return rf"(?<!\w){re.escape(fold(value))}(?!\w)"


def _name(value: str) -> list[str]:
    spelled = re.findall(r"[^\W\d_]+", value)
    words = [w for w in spelled if fold(w).casefold() not in _PREFIXES]
    if len(spelled) == 2 and not words:
        words = [w for w in spelled if fold(w).casefold() not in _TITLES]
    particles = sorted({fold(w).casefold() for w in spelled} & _PARTICLES)
    lead = rf"(?:(?:{'|'.join(particles)})[\s'’-]+)*" if particles else ""
    initials = "".join(sorted({fold(w[0]).upper() for w in words}))
    before = rf"(?:(?<![^\W\d_])(?-i:[{initials}])(?:\.[ ]?|[ ])){{0,2}}" if initials else ""
    after = rf"(?:,?[ \t]{{1,3}}(?-i:[{initials}])(?:\.|(?![\w.\-/]))){{0,2}}" if initials else ""
    singles = [
        before + lead + _flexible(w) + r"(?:['’]s)?" + after
        for w in re.findall(r"[^\W\d_]+['’][^\W\d_]+", value)
    ]
    for word in words:
        if len(word) >= 3 or (len(word) == 2 and len(words) > 1):
            folded = fold(word)
            guard = rf"(?-i:(?!{re.escape(folded.lower())}\b))" if folded.casefold() in ordinary() else ""
            case = rf"(?-i:{folded}|{folded.upper()}|{folded.capitalize()})"
            called = rf"(?:(?<=patient )|(?<=pt )|(?<=mr )|(?<=mrs )|(?<=ms )|(?<=miss )|(?<=name )){re.escape(folded)}"
            body = rf"(?:{case}|{called})" if len(word) == 2 else _irish(_letters(word), folded)
            singles.append(rf"{before}(?<![^\W\d_]){guard}{lead}{body}(?:['’]s)?(?![^\W\d_]){after}")
    full = [w for w in words if len(w) >= 2]
    if len(full) >= 2:
        pair = "|".join(_irish(_letters(w), fold(w)) for w in full)
        link = r"[\s,.\^=_-]{1,4}"
        singles.append(
            rf"{before}(?<![^\W\d_]){lead}(?:{pair})(?:{link}(?:[A-Z]\.?[\s,.]+)?{lead}(?:{pair}))+"
            rf"(?:\^[A-Z](?!\w))*(?:['’]s)?(?![^\W\d_]){after}"
        )
    return singles


def _irish(pattern: str, word: str) -> str:
    """O'Brien for a header's OBrien, D'Angelo for DAngelo."""
    if re.match(r"(?:O|D)[A-Z][a-z]|(?:O|D)[A-Z]{4}", word) and word[1] not in "'’":
        first = pattern[:1]
        return rf"{first}['’ ]?{pattern[1:]}"
    return pattern


def _phone(value: str) -> list[str]:
    digits = re.sub(r"\D", "", re.split(r"(?i)x|ext", value)[0])
    if len(digits) < 6:
        return []
    core = digits[-10:]
    area = rf"(?:\+?{digits[:-10]}[\s().\-/]{{0,3}})?" if len(digits) > 10 else r"(?:\+?1[\s().\-/]{0,3})?"
    join = r"[\s().\-/]{0,3}"
    found = [rf"(?<!\d){area}0?\(?0?\)?" + join.join(core) + r"(?:\s*(?:x|ext\.?)\s*\d{1,6})?(?!\d)"]
    if len(core) == 10:
        found += [r"(?<!\d)" + join.join(part) + r"(?!\d)" for part in (core[2:], core[3:])]
    return found


def _identifier(value: str) -> list[str]:
    found = []
    compact = re.sub(r"[^0-9A-Za-z]", "", value)
    if len(compact) < 3 or not any(c.isdigit() for c in compact):
        return [_flexible(value)] if len(compact) >= 4 and not is_clinical(value) else []
    if compact.isdigit():
        core = compact.lstrip("0")
        if len(core) >= 4:
            join = r"[ \-./]{0,2}(?:\r?\n[ \-./]{0,4})?"
            found.append(r"(?<![\d.])(?:0[ \-./]{0,2}(?:\r?\n[ \t]*)?)*" + join.join(core) + r"(?!\d|\.\d)")
        elif core:
            found.append(rf"(?i:\b(?:mrn|id|record|accession|account|#)\W{{0,3}}0*{core}(?!\d))")
        return found
    join = r"[ \-_./]{0,2}(?:\r?\n[ \-_./]{0,4})?"
    runs = re.findall(
        r"[A-Za-z]|0+(?=[1-9])|\d", re.sub(r"(?<=[A-Za-z])(?=0)|^(?=0)", " ", compact).replace(" ", "")
    )
    parts = [rf"{r[0]}*" if set(r) == {"0"} and len(r) > 1 else r for r in runs]
    found.append(r"(?<![0-9A-Za-z])" + join.join(parts) + r"(?![0-9A-Za-z])")
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
        if len(city) > 2:
            plain = all(w.casefold() in ordinary() for w in city.split())
            found.append(
                rf"(?-i:(?={re.escape(city[0].upper())})){_flexible(city)}" if plain else _flexible(city)
            )
    return found


def _birth(value: str) -> list[str]:
    day = _day(value)
    if day is None:
        return []
    y, m, d, yy = day.year, day.month, day.day, day.year % 100
    name = rf"(?:{'|'.join(month_names(m))}|{_ROMAN[m - 1]})\.?"
    sep, year = r"[\s/.\-]{1,3}", rf"(?:{y}|'?{yy:02d})"
    return [
        rf"(?<!\d){y}{sep}0?{m}{sep}0?{d}(?!\d)",
        rf"(?<!\d){y}{m:02d}{d:02d}(?!\d)",
        rf"(?<!\d)0?{m}{sep}0?{d}{sep}{year}(?!\d)",
        rf"(?<!\d)0?{d}{sep}0?{m}{sep}{year}(?!\d)",
        rf"(?<!\d)(?:{m:02d}{d:02d}|{d:02d}{m:02d}){y}(?!\d)",
        rf"(?<!\d)0?{d}(?:st|nd|rd|th)?[\s\-.,/]{{0,3}}(?:of\s+)?{name}[\s\-.,/]{{0,3}}{year}(?!\d)",
        rf"\b{name}[\s\-.]{{1,3}}0?{d}(?:st|nd|rd|th)?[\s\-.,/]{{1,3}}{year}(?!\d)",
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
