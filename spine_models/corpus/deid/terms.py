"""Word lists for prose: clinical words that are never names, names known to be names, words around names.

Belongs here: reading the lists and answering questions about one word.
Does not belong here: looking at a word's surroundings (text, cues).
"""

from __future__ import annotations

import re
import string
from functools import lru_cache
from pathlib import Path
from typing import Final

import yaml

from spine_models.corpus.deid import vocabulary
from spine_models.corpus.deid.alternation import by_first_letter
from spine_models.corpus.deid.codes import standard_words

_FOLDER: Final = Path(__file__).parent
_ENDINGS: Final = (
    "s",
    "es",
    "d",
    "ed",
    "ing",
    "ly",
    "al",
    "ally",
    "ic",
    "ion",
    "ous",
    "ity",
    "er",
    "ness",
    "ment",
)
_CLINICAL_ENDING: Final = re.compile(
    r"\w{3,}(?:osis|oses|itis|opathy|opathic|ectomy|otomy|plasty|graphy|graphic|oma|omas|emia|algia|esthesia|ular|eal|tion"
    r"|tions|sion|sions|ments?|ness|ically|ical|ously|ous|ative|able|ible|ally|trophy|trophic|genic|lysis|listhesis|oid|iform)"
)


_SMALL: Final = re.compile(r"[a-zß-öø-ÿ]")
_CAPITAL: Final = re.compile(r"[A-ZÀ-ÖØ-Þ]")
_ASCII_SMALL: Final = string.ascii_lowercase.encode()
_ASCII_CAPITAL: Final = string.ascii_uppercase.encode()
_PUT: Final = re.compile(r"\[[A-Z]{2,7}\]")


def _lines(name: str) -> frozenset[str]:
    text = (_FOLDER / name).read_text(encoding="utf-8")
    rows = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in rows for word in line.split())


@lru_cache(maxsize=1)
def _cue_words() -> dict[str, list[str]]:
    document: dict[str, list[str]] = yaml.safe_load((_FOLDER / "cue_words.yaml").read_text(encoding="utf-8"))
    return document


def alternatives(kind: str) -> str:
    """A group of regular-expression alternatives: the words of one kind in ``cue_words.yaml``."""
    return f"(?:{'|'.join(_cue_words()[kind])})"


def indexed(kind: str) -> str:
    """As ``alternatives``, for patterns that ignore case."""
    return by_first_letter(_cue_words()[kind])


@lru_cache(maxsize=8)
def place_words(kind: str) -> frozenset[str]:
    """Lower-case words of one kind in ``place_words.yaml``."""
    document: dict[str, str] = yaml.safe_load((_FOLDER / "place_words.yaml").read_text(encoding="utf-8"))
    return frozenset(document[kind].split())


@lru_cache(maxsize=256)
def mostly_upper(text: str) -> bool:
    """True where capitals say nothing, because the text is written in them."""
    lower, upper = _cases(text)
    return upper > 0.6 * max(1, lower + upper)


def mostly_lower(text: str) -> bool:
    """True where nothing is capitalised, as in raw dictation: fewer than one letter in a hundred."""
    lower, upper = _cases(text)
    return lower > 0 and upper <= (lower + upper) // 100


def _cases(text: str) -> tuple[int, int]:
    """How many letters are small and how many are capitals, what a pass has put in brackets left out."""
    if text.isascii():
        # Many times faster than a pattern, on what nearly every report is written in.
        plain = text.encode("ascii")
        lower = len(plain) - len(plain.translate(None, _ASCII_SMALL))
        upper = len(plain) - len(plain.translate(None, _ASCII_CAPITAL))
    else:
        lower, upper = len(_SMALL.findall(text)), len(_CAPITAL.findall(text))
    return lower, upper - sum(len(mark) - 2 for mark in _PUT.findall(text)) if "[" in text else upper


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """Lower-case frequent given names and surnames."""
    return _lines("names.txt")


@lru_cache(maxsize=1)
def ordinary() -> frozenset[str]:
    """Lower-case words so ordinary that the gate does not look for a patient's name of one such word alone."""
    words = _lines("clinical_words.txt") | vocabulary.words("anatomy_and_contrast")
    return words | frozenset(part for word in words for part in re.split(r"[-/]", word))


@lru_cache(maxsize=1)
def eponyms() -> frozenset[str]:
    """Lower-case surnames that stand for things: a person's only where something announces a person."""
    return _lines("eponyms.txt")


@lru_cache(maxsize=1)
def clinical() -> frozenset[str]:
    """Lower-case clinical words, eponyms included."""
    return ordinary() | _lines("spine_words.txt") | eponyms()


@lru_cache(maxsize=1)
def report_words() -> frozenset[str]:
    """Lower-case clinical words and the language of reports, English and foreign, eponyms included."""
    return clinical() | _lines("report_words.txt") | _lines("foreign_words.txt")


@lru_cache(maxsize=1)
def english_words() -> frozenset[str]:
    """The words of ``report_words`` that are neither surnames nor foreign: what English reports spell like."""
    return report_words() - eponyms() - (_lines("foreign_words.txt") - ordinary())


@lru_cache(maxsize=65536)
def is_clinical(word: str) -> bool:
    """True for a word that must not be taken for a name, whatever its case."""
    folded = word.casefold().strip("'’.-")
    if folded.endswith(("'s", "’s")):
        folded = folded[:-2]
    if folded in report_words():
        return True
    parts = folded.split("-")
    if any(len(part) > 1 for part in parts[1:]) and all(len(p) == 1 or is_clinical(p) for p in parts):
        return True
    if folded in names():
        return False
    if any(
        folded.endswith(e) and len(folded) - len(e) >= 3 and folded[: -len(e)] in report_words()
        for e in _ENDINGS
    ):
        return True
    return folded in standard_words() or bool(len(folded) >= 7 and _CLINICAL_ENDING.fullmatch(folded))


@lru_cache(maxsize=65536)
def is_spinal(word: str) -> bool:
    """True for a word of the clinical lists proper, plain endings understood; general English is not in them."""
    folded = word.casefold().strip("'’.-")
    return folded in clinical() or any(
        folded.endswith(e) and len(folded) - len(e) >= 3 and folded[: -len(e)] in clinical() for e in _ENDINGS
    )


def is_eponym(word: str) -> bool:
    """True for a surname that stands for a thing unless something announces a person."""
    return word.casefold().strip("'’.-") in eponyms()


def is_ambiguous(word: str) -> bool:
    """True for a word of both lists, such as Brown or Gray: a capital inside a sentence makes it a name."""
    folded = word.casefold().strip("'’.-")
    return folded in names() and folded in report_words()


def is_name(word: str) -> bool:
    """True for a word of the names list that is no clinical word."""
    folded = re.sub(r"['’]s$|[^\w]", "", word.casefold())
    return folded in names() and folded not in report_words()
