"""Hospitals, clinics, practices and universities, by the noun that ends or begins their name.

Belongs here: how far a place's name reaches before its noun.
Does not belong here: the nouns (cue_words.yaml), places known of the patient (known_patterns).
"""

from __future__ import annotations

import re
from typing import Final

from spine_models.corpus.deid.terms import alternatives, clinical, is_ambiguous, is_clinical, mostly_upper

_W: Final = r"[^\W\d_][^\W\d_'’\-]*(?:['’\-][^\W\d_]+)*"
_HOUSE: Final = rf"(?:{alternatives('house_prefix')}\s+)?{alternatives('house')}"
_LINK: Final = r"(?i:st\.?|saint|mt\.?|mount|of|the|and|&|de|du|la|for)"
_NAMED_HOUSE: Final = re.compile(
    rf"(?P<run>(?:(?:{_LINK}|{_W})[ \t]+){{1,6}})(?P<house>(?i:{_HOUSE}))(?!\w)"
    r"(?:\s+(?:of|at|in)\s+(?:the\s+)?(?:[A-Z][\w'’]+\s?){1,3})?"
)
_UPPER_HOUSE: Final = re.compile(
    rf"(?P<run>(?:[A-Z][A-Z'’.&\-]*[ \t]+){{1,5}}?)(?P<house>(?i:{_HOUSE}))(?!\w)"
)
_UNIVERSITY_OF: Final = re.compile(
    r"\b(?:University|College|Hospital|Clinic|Institute)\s+of\s+(?:[A-Z][\w'’]+(?:[\s,-]+(?:at\s+)?)?){1,4}"
)
_SAINTS: Final = frozenset(("st", "saint", "mt", "mount"))
_NAMING: Final = frozenset(("memorial", "general", "our", "lady"))
_NOUNS: Final = frozenset(
    (
        *("imaging", "medical", "radiology", "spine", "orthopedic", "orthopaedic", "health", "diagnostic"),
        *("neurosurgery", "surgical", "university", "care", "clinic", "hospital", "center", "centre"),
    )
)
_LINKING: Final = (
    _NOUNS
    | _NAMING
    | _SAINTS
    | frozenset(
        (
            "of",
            "the",
            "and",
            "&",
            "de",
            "du",
            "la",
            "community",
            "regional",
            "children's",
            "county",
            "veterans",
        )
    )
)
_PROPER: Final = _NAMING | frozenset(
    ("north", "south", "east", "west", "red", "blue", "green", "white", "black")
)
_TELLING: Final = re.compile(
    r"(?i)\b(?:st|saint|mount|mt|memorial|general|county|community|regional|our lady|north|south|east|west)\b"
)


def places(text: str) -> str:
    """Text with the names of institutions replaced by ``[PLACE]``."""
    text = _UNIVERSITY_OF.sub("[PLACE]", text)
    text = _NAMED_HOUSE.sub(_house, text)
    return _UPPER_HOUSE.sub(_house, text) if mostly_upper(text) else text


def _house(match: re.Match[str]) -> str:
    run = match["run"]
    start = _start(run, match["house"])
    if start is None:
        return match[0]
    named = run[start:]
    dull = all(is_clinical(w) or w.casefold() in _LINKING - _NAMING for w in re.findall(_W, named))
    if dull and not _TELLING.search(named):
        return match[0]
    article = re.match(r"(?i)the\s+(?=\S)", named)
    return run[:start] + (article[0] if article else "") + "[PLACE]"


def _start(run: str, house: str) -> int | None:
    """Where the name before the noun begins: the furthest word back that can belong to it."""
    words = list(re.finditer(r"\S+", run))
    start = None
    for index in range(len(words) - 1, -1, -1):
        bare = words[index][0].strip(".,'’")
        folded, capital = bare.casefold(), bare[:1].isupper()
        after_saint = index and words[index - 1][0].casefold().strip(".") in _SAINTS
        if not (after_saint and capital) and folded not in _LINKING:
            ordinary = folded in clinical() and not is_ambiguous(bare)
            if ordinary and not (start is not None and capital and folded in _PROPER):
                break
            if not capital and not _lower_house(house, bare):
                break
        if folded not in _LINKING or folded in _SAINTS | _NAMING or capital:
            start = words[index].start()
    return start


def _lower_house(house: str, word: str) -> bool:
    return bool(re.match(r"(?i)hospital|clinic|medical cent|infirmary", house)) and not is_clinical(word)
