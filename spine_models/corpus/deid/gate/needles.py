"""Known identifiers as byte patterns in every spelling and encoding, and one pass that finds any of them.

Belongs here: spellings per kind, encodings, word boundaries, the multi-pattern search.
Does not belong here: where identifiers come from (identifiers), which bytes are searched (released, lake).
A needle knows its rule, never shows its value.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import ahocorasick
import yaml

_DATA: Final = Path(__file__).parent.parent
_NON_ASCII: Final = (
    "utf-8",
    "latin-1",
    "iso2022_jp",
    "shift_jis",
    "euc_jp",
    "gb18030",
    "euc_kr",
    "iso8859-5",
    "iso8859-7",
    "iso8859-2",
)
_WIDE: Final = ("utf-16-le", "utf-16-be")
_HEX: Final = frozenset("0123456789abcdef")
_KEY_LENGTHS: Final = frozenset({32, 64})
"""Hex digits of the product's pseudonymous keys and content hashes."""
_LONGEST_KEY: Final = 64
_BY_CHANCE: Final = 12
"""Characters of a key that may be some number of a patient by chance; more never are."""
_DRAWN: Final = 8
"""Different digits that what is left of a drawn key has at least; a padded number or a date has fewer."""
_MONTHS: Final = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_AFFIXES: Final = frozenset(
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
        "jr",
        "sr",
        "ii",
        "iii",
        "phd",
        "van",
        "von",
        "der",
        "den",
        "de",
        "la",
        "del",
    ]
)


@dataclass(frozen=True)
class Needle:
    """One spelling of one identifier.

    ``edge`` says which neighbours make it a different word: digits, letters, both, or none.
    """

    rule: str
    text: str
    edge: str = "both"


@lru_cache(maxsize=1)
def ordinary_words() -> frozenset[str]:
    """Words so ordinary that finding one alone proves nothing; full names with them are still searched."""
    text = (_DATA / "clinical_words.txt").read_text(encoding="utf-8")
    words = {w for line in text.splitlines() if not line.startswith("#") for w in re.split(r"[\s/-]+", line)}
    document = yaml.safe_load((_DATA / "vocabulary.yaml").read_text(encoding="utf-8"))
    return frozenset(words | {w for value in document.values() for w in value.split()})


def of_name(value: str) -> tuple[list[Needle], list[Needle]]:
    """Needles of a person's name: (full forms, single words); DICOM components, groups and plain text alike."""
    full: dict[str, None] = {}
    single: dict[str, None] = {}
    for group in value.split("="):
        components = [c.strip() for c in group.split("^")] if "^" in group else None
        words = [
            w for w in re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", group) if w.casefold() not in _AFFIXES
        ]
        if components and len([c for c in components[:2] if c]) == 2:
            pairs = [(components[0], components[1])]
        else:
            pairs = list(pairwise(words))
        for a, b in pairs:
            if len(a) + len(b) > 4 and len(a) > 1 and len(b) > 1:
                for x, y in ((a, b), (b, a)):
                    full |= dict.fromkeys(x + s + y for s in ("^", " ", ", ", ",", "_", ".", "-", "  ", "\n"))
        if not words and group.strip("^ "):
            single[group.strip("^ ")] = None
        for word in words:
            wide = not word.isascii()
            if (len(word) >= 4 or (wide and len(word) >= 2)) and word.casefold() not in ordinary_words():
                single[word] = None
            elif len(word) >= 3:
                full |= dict.fromkeys(
                    f"{t} {word}"
                    for t in ("mr", "mr.", "mrs", "mrs.", "ms", "ms.", "miss", "dr", "dr.", "prof.")
                )
                full |= dict.fromkeys(f"{word}{s}" for s in ("^",) if len(word) >= 4)
    return [Needle("name", t) for t in full], [Needle("name_part", t) for t in single]


def of_identifier(value: str, rule: str = "identifier") -> list[Needle]:
    """Needles of a record, accession or other number: as written, without zeros, without separators."""
    text = value.strip()
    compact = re.sub(r"[^0-9A-Za-z]", "", text)
    if len(compact) < 4 or not re.search(r"\d", compact):
        return (
            [Needle(rule, text)] if len(compact) >= 6 and compact.casefold() not in ordinary_words() else []
        )
    forms = {text, compact, compact.lstrip("0"), text.lstrip("0")}
    forms |= {run.lstrip("0") for run in re.findall(r"\d{6,}", text)}
    return [Needle(rule, f) for f in sorted(forms) if len(f) >= 4]


def of_phone(value: str) -> list[Needle]:
    """Needles of a telephone number in the usual groupings."""
    digits = re.sub(r"\D", "", re.split(r"(?i)x|ext", value)[0])
    if len(digits) < 7:
        return []
    forms = {value.strip(), digits, digits[-10:]}
    if len(digits) >= 10:
        a, b, c = digits[-10:-7], digits[-7:-4], digits[-4:]
        forms |= {f"{a}{s}{b}{t}{c}" for s, t in ((".", "."), ("-", "-"), (" ", " "), (" ", "-"), ("/", "-"))}
        forms |= {f"({a}) {b}-{c}", f"({a}){b}-{c}", f"{b}-{c}", f"{b}.{c}"}
    return [Needle("phone", f, "digits") for f in sorted(forms) if len(f) >= 7]


def of_date(day: date, rule: str) -> list[Needle]:
    """Needles of a date in the usual forms."""
    y, m, d = day.year, day.month, day.day
    name, short = _MONTHS[m - 1], _MONTHS[m - 1][:3]
    forms = {f"{y}{m:02d}{d:02d}"}
    for s in "-/.":
        forms |= {
            f"{y}{s}{m:02d}{s}{d:02d}",
            f"{m:02d}{s}{d:02d}{s}{y}",
            f"{d:02d}{s}{m:02d}{s}{y}",
            f"{m}{s}{d}{s}{y}",
            f"{d}{s}{m}{s}{y}",
        }
    for n in (name, short):
        forms |= {
            f"{d} {n} {y}",
            f"{n} {d}, {y}",
            f"{n} {d} {y}",
            f"{d:02d}-{n}-{y}",
            f"{d:02d} {n} {y}",
            f"{n} {d:02d}, {y}",
        }
    return [Needle(rule, f) for f in sorted(forms)]


def of_phrase(value: str, rule: str) -> list[Needle]:
    """Needles of an address or place as written; nothing for one made of ordinary words alone."""
    text = re.sub(r"\s+", " ", value.replace("^", " ")).strip()
    words = re.findall(r"\w+", text)
    if len(text) < 6 or all(w.casefold() in ordinary_words() for w in words):
        return []
    forms = {text, value.strip()}
    street = re.split(r"[,\n]", text)[0].strip()
    if len(street) >= 8 and re.search(r"\d", street) and len(street.split()) > 2:
        forms.add(street)
    return [Needle(rule, f) for f in sorted(forms)]


def _spellings(text: str) -> Iterable[tuple[bytes, int]]:
    cases = (
        dict.fromkeys((text, text.lower(), text.upper(), text.title()))
        if not text.isascii()
        else {text: None}
    )
    for case in cases:
        for codec in ("ascii", *_WIDE) if text.isascii() else (*_NON_ASCII, *_WIDE):
            try:
                encoded = case.encode(codec)
            except UnicodeEncodeError:
                continue
            if codec == "iso2022_jp":
                encoded = re.sub(rb"\x1b[$(][@-J]", b"", encoded)
                if len(encoded) < 6:
                    continue
            yield encoded.lower(), 2 if codec in _WIDE else 1


class Haystack:
    """Searches bytes for many needles at once, ignoring ASCII case.

    Args:
        needles: what to look for.
        shortest: needles with fewer characters are left out (for binary data, where short ones occur by chance).
    """

    def __init__(self, needles: Iterable[Needle], *, shortest: int = 0) -> None:
        self._automaton = ahocorasick.Automaton()
        keys: dict[str, set[tuple[str, int, int, str]]] = {}
        for needle in needles:
            if len(needle.text) < shortest:
                continue
            for encoded, step in _spellings(needle.text):
                if len(encoded) >= 4:
                    key = encoded.decode("latin-1")
                    keys.setdefault(key, set()).add((needle.rule, len(key), step, needle.edge))
        for key, entries in keys.items():
            self._automaton.add_word(key, tuple(sorted(entries)))
        self._empty = not keys
        if keys:
            self._automaton.make_automaton()

    def hits(self, data: bytes) -> Counter[str]:
        """Occurrences per rule."""
        found: Counter[str] = Counter()
        if self._empty or not data:
            return found
        hay = data.lower().decode("latin-1")
        for end, entries in self._automaton.iter(hay):
            for rule, length, step, edge in entries:
                if _stands_alone(hay, end - length + 1, end + 1, step, edge):
                    found[rule] += 1
        return found


def _stands_alone(hay: str, start: int, end: int, step: int, edge: str) -> bool:
    if edge == "none":
        return True
    before = hay[start - step : start] if start >= step else ""
    after = hay[end : end + step]
    return not (
        _joins(before, hay[start], edge)
        or _joins(after, hay[end - step], edge)
        or _decimal(hay, start, end, step)
        or (step == 1 and _within_a_key(hay, start, end))
    )


def _joins(neighbour: str, edge_char: str, edge: str) -> bool:
    char = neighbour.replace("\x00", "")
    if not char or not char.isascii() or not edge_char.isascii():
        return False
    if edge == "digits" or edge_char.isdigit():
        return char.isdigit() or (edge == "both" and char.isalpha())
    return char.isalpha()


def _within_a_key(hay: str, start: int, end: int) -> bool:
    """Whether a match is part of one of the product's own hex keys or hashes, where it occurs by chance.

    Of a million keys of 128 bits one ends in a given letter and six digits with a chance of two in a thousand, and a
    hospital has many such numbers. What is found still: a key that is an identifier as a whole or for a good part, and
    a number that is padded or joined to a date until it is as long as a key.
    """
    if end - start > _BY_CHANCE or not _HEX.issuperset(hay[start:end]):
        return False
    first, last = start, end
    while first > 0 and start - first < _LONGEST_KEY and hay[first - 1] in _HEX:
        first -= 1
    while last < len(hay) and last - end < _LONGEST_KEY and hay[last] in _HEX:
        last += 1
    if last - first not in _KEY_LENGTHS or len({*hay[first:start], *hay[end:last]}) < _DRAWN:
        return False
    return not ((first and hay[first - 1].isalnum()) or hay[last : last + 1].isalnum())


def _decimal(hay: str, start: int, end: int, step: int) -> bool:
    if step != 1 or not hay[start:end].isdigit():
        return False
    return bool(re.match(r"\.\d", hay[end : end + 2])) or bool(
        re.match(r"\d\.", hay[max(0, start - 2) : start])
    )
