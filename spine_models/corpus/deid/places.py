"""Hospitals, clinics, practices, employers and universities, by the noun that ends or begins their name.

Belongs here: how far a place's name reaches before its noun, or after it.
Does not belong here: the nouns (cue_words.yaml), places known of the patient (known_patterns).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from spine_models.corpus.deid.name_shape import name_likeness
from spine_models.corpus.deid.terms import (
    alternatives,
    indexed,
    is_ambiguous,
    is_clinical,
    is_name,
    mostly_lower,
    mostly_upper,
    ordinary,
    place_words,
    report_words,
)

_W: Final = r"[^\W\d_][^\W\d_'’\-]*(?:['’\-][^\W\d_]+)*"
_HOUSE: Final = rf"(?:{indexed('house_prefix')}\s+){{0,2}}{indexed('house')}"
_LINK: Final = r"(?i:st\.?|saint|mt\.?|mount|of|the|and|&|de|du|la|for|in)"
_TAIL: Final = r"(?:\s+(?:of|at|in)\s+(?:the\s+)?(?:[A-Z][\w'’]+[ \t]?){1,3})?"
_NAMED_HOUSE: Final = re.compile(
    rf"(?<![^\W\d_])(?P<run>(?:(?:{_LINK}|{_W})[ \t]+){{1,6}})(?P<house>(?i:{_HOUSE}))(?!\w){_TAIL}"
)
_UPPER_HOUSE: Final = re.compile(
    rf"(?P<run>(?:[A-Z][A-Z'’.&\-]*[ \t]+){{1,5}}?)(?P<house>(?i:{_HOUSE}))(?!\w)"
)
_TITLED_HOUSE: Final = re.compile(
    rf"(?P<run>(?:(?:(?-i:[A-Z0-9])[\w'’.\-]*|of|the|in|and|&)[ \t]+){{1,5}})"
    rf"(?P<house>(?=[A-Z])(?i:{indexed('named_house')}))(?![\w-])"
)
_HOUSE_FIRST: Final = re.compile(
    rf"(?<![\w\[])(?=[A-Z])(?i:{indexed('house_first')})[ \t]+"
    r"(?:(?i:am|an|beim|der|die|de|del|della|di|do|da|dos|du|la|le|las|los|el|des|im|zu|von|van|w)[ \t]+){0,3}"
    r"(?P<first>[^\W\d_][\w'’\-]*)"
    r"(?:[ \t]+(?:(?:de|del|do|da|du|la|le|am|an|der|sur|w|im|&)[ \t]+)?(?=[^\W\d_a-zà-ÿ])[\w'’\-]+){0,4}"
)
_UNIVERSITY_OF: Final = re.compile(
    r"\b(?:University|College|Hospital|Clinic|Institute)\s+of\s+(?:[A-Z][\w'’]+(?:[\s,-]+(?:at\s+)?)?){1,4}"
)
_SAINTS: Final = frozenset(("st", "saint", "mt", "mount"))
_NAMING: Final = place_words("naming")
_NOUNS: Final = place_words("nouns")
_LINKING: Final = (
    _NOUNS
    | _NAMING
    | _SAINTS
    | frozenset(("&", "de", "du", "la", "community", "regional", "children's", "county", "veterans"))
)
_PROPER: Final = _NAMING | place_words("proper")
"""Words of plain English that names of institutions begin with."""
_SPECIALTIES: Final = place_words("specialties")
"""Words of departments: capitalised before a noun they name no institution."""
_JOINING: Final = place_words("joining")
_LINKED: Final = _LINKING - _NAMING
_ALONE: Final = _SAINTS | _NAMING
_NAMES: Final = _PROPER | _JOINING
"""Words that belong to a name only where more of it follows."""
_TELLING: Final = re.compile(
    r"(?i)\b(?:st|saint|mount|mt|memorial|general|county|community|regional|our lady|north|south|east|west)\b"
)


_HOUSE_NOUN: Final = re.compile(rf"(?<!\w)(?i:{indexed('house')})(?!\w)")
_TITLED_NOUN: Final = re.compile(rf"(?<!\w)(?=[A-Z])(?i:{indexed('named_house')})(?![\w-])")
_AT_WORD: Final = re.compile(r" (?:at|from|to|of) ", re.IGNORECASE)
_LIKELY: Final = 0.0
"""Log odds above which an unread word in small letters is a name."""
_REACH: Final = 160
"""Letters before and after a noun within which its name must lie."""
_AT: Final = re.compile(
    r"\b(?P<cue>(?:performed|done|obtained|acquired|scanned|imaged|seen|evaluated|treated|admitted|attends|booked|therapy|physio"
    r"|pt|follow[- ]?up|f/u|surgery|operated|read|biopsy|fusion|works?|worked|employed|lives|resident|"
    r"(?:mri|ct|scan|study|exam|images?"
    r"|imaging|films?|x-?rays?|reports?|results?|cd|records?)(?:[ ]\w+)?)[ ](?:at|from|to|of)[ ](?:the[ ])?)"
    r"(?P<name>[^\W\d_][\w'’&\-]*(?:[ ][^\W\d_&][\w'’\-]*|[ ]&){0,3}?)"
    r"(?=[ ]+(?:on|dated|in|from|with|for|because|after|since|done|performed|and|by|was|is|were)\b|[ ]*[\[,.;:)\n]|$)",
    re.IGNORECASE,
)
_CAMEL: Final = re.compile(r"[a-z][A-Z][a-z]")
_FAMOUS: Final = re.compile(rf"(?<![\w\[])(?:{alternatives('famous_house')[3:-1]})(?![\w\]])")
_NOWHERE: Final = re.compile(
    r"(?i)\b(?:outside|this|that|our|an?|another|other|same|all|both|each|multiple|any|level|levels|time|home|work|rest|night|[ctls]\d+"
    r"|left|right|side|upper|lower|spine|bedside|hospital|clinic|(?:the )?ed|facility|institution|er|icu"
    r"|prior|previous|date|today)\b"
)


def places(text: str) -> str:
    """Text with the names of institutions replaced by ``[PLACE]``."""
    if _AT_WORD.search(text):
        low = mostly_lower(text)
        text = _AT.sub(lambda m: _at(m, low), text)
    text = _FAMOUS.sub("[PLACE]", text)
    text = _UNIVERSITY_OF.sub("[PLACE]", text)
    text = _HOUSE_FIRST.sub(_led, text)
    text = _around(_HOUSE_NOUN, _NAMED_HOUSE, _house, text)
    text = _around(_TITLED_NOUN, _TITLED_HOUSE, _titled, text)
    return _around(_HOUSE_NOUN, _UPPER_HOUSE, _house, text) if mostly_upper(text) else text


def _around(
    noun: re.Pattern[str], whole: re.Pattern[str], replace: Callable[[re.Match[str]], str], text: str
) -> str:
    """``whole.sub(replace, text)``, tried only on the stretches of lines that hold a noun: nouns are rare."""
    out, at = [], 0
    for found in noun.finditer(text):
        if found.start() < at:
            continue
        start = max(at, text.rfind("\n", 0, found.start()) + 1, found.start() - _REACH)
        end = text.find("\n", found.end())
        end = min(len(text) if end < 0 else end, found.end() + _REACH)
        if 0 < start < len(text) and start > at and text[start - 1].isalnum():
            start = text.find(" ", start, found.start()) + 1 or found.start()
        out += [text[at:start], whole.sub(replace, text[start:end])]
        at = end
    return "".join(out) + text[at:]


def _at(match: re.Match[str], low: bool) -> str:
    """What an examination was done at: a name where a word of it is neither clinical nor a part of plain talk.

    Small letters name nothing where the text has capitals, unless a word is a name or reads much like one.
    """
    name = match["name"]
    words = re.findall(_W, name)
    if _NOWHERE.search(name) or not words or name.startswith("["):
        return match[0]
    capital = all(w[0].isupper() or w.casefold() in _LINKING for w in words)
    strange = [
        w for w in words if (not is_clinical(w) or is_ambiguous(w)) and w.casefold() not in _SPECIALTIES
    ]
    if name.islower() and not low:
        unread = [w for w in strange if not is_clinical(w)]
        return (
            f"{match['cue']}[PLACE]"
            if any(is_name(w) or name_likeness(w) > _LIKELY for w in unread)
            else match[0]
        )
    uncommon = [w for w in words if w.casefold() not in _plain()]
    cased = not name.isupper() and not name.islower()
    if strange or (cased and capital and uncommon) or (not cased and len(uncommon) == len(words) > 1):
        return f"{match['cue']}[PLACE]"
    return match[0]


def _led(match: re.Match[str]) -> str:
    """A place whose noun comes first, as in the Romance languages and German."""
    first = match["first"]
    foreign = not re.match(r"(?i)hospital\b", match[0])
    if is_clinical(first) and not is_ambiguous(first):
        return match[0]
    if not first[0].isupper() or (
        not foreign and not (is_name(first) or first.casefold() not in report_words())
    ):
        return match[0]
    return "[PLACE]"


def _titled(match: re.Match[str]) -> str:
    """Capitalised words before a capitalised noun of business: a name when one of them is no word of reports."""
    words = list(re.finditer(r"\S+", match["run"]))
    start = None
    for word in reversed(words):
        folded = word[0].strip(".,'’").casefold()
        department = folded == "general" and match["house"].casefold() == "surgery"
        plain = folded in _plain() and folded not in _NAMES and not is_ambiguous(folded)
        if folded in _NOUNS or plain or department:
            if folded not in ("of", "the", "in", "and", "&") or start is None:
                break
            continue
        if not word[0][0].isupper() or (
            match[0].isupper() and is_clinical(folded) and not is_ambiguous(folded)
        ):
            break
        start = word.start()
    if start is None:
        return match[0]
    return match["run"][:start] + "[PLACE]"


def _house(match: re.Match[str]) -> str:
    run = match["run"]
    start = _start(run, match["house"])
    if start is None:
        return match[0]
    named = run[start:]
    dull = not _CAMEL.search(named) and all(
        is_clinical(w) or w.casefold() in _LINKED for w in re.findall(_W, named)
    )
    # A sentence may begin with any word in a capital; the rest of a name that a cue has already found does not.
    inside = start > 0 or match.string[: match.start()].rstrip(" \t").endswith(("[NAME]", "[PLACE]"))
    title_case = bool(re.match(r"[A-Z][^\W\d_A-Z]", named)) and match["house"][:1].isupper() and inside
    if dull and not _TELLING.search(named) and not (title_case and _uncommon(named)):
        return match[0]
    article = re.match(r"(?i)the\s+(?=\S)", named)
    return run[:start] + (article[0] if article else "") + "[PLACE]"


@lru_cache(maxsize=1)
def _plain() -> frozenset[str]:
    """Words that name no institution even in capitals: of radiology, and of departments."""
    return ordinary() | _SPECIALTIES


def _uncommon(named: str) -> bool:
    """True where a word is of general English, not of radiology: capitalised, it names."""
    words = [w.casefold() for w in re.findall(_W, named)]
    return any(w in _PROPER or w not in _plain() for w in words)


def _start(run: str, house: str) -> int | None:
    """Where the name before the noun begins: the furthest word back that can belong to it."""
    words = list(re.finditer(r"\S+", run))
    upper = house.isupper()
    start = None
    for index in range(len(words) - 1, -1, -1):
        bare = words[index][0].strip(".,'’")
        folded, capital = bare.casefold(), bare[:1].isupper()
        after_saint = index and words[index - 1][0].casefold().strip(".") in _SAINTS
        if not (after_saint and capital) and folded not in _LINKING:
            known = ordinary() if capital and not upper else report_words()
            dull = (folded in known or (known is not ordinary() and is_clinical(bare))) and not is_ambiguous(
                bare
            )
            named = folded in _PROPER and (start is not None or house[:1].isupper())
            if dull and not (capital and (named or (start is not None and folded in _JOINING))):
                break
            if not capital and not _lower_house(house, bare):
                break
        if folded not in _LINKING or folded in _ALONE or (capital and start is not None):
            start = words[index].start()
    return start


def _lower_house(house: str, word: str) -> bool:
    return bool(re.match(r"(?i)hospital|clinic|medical cent|infirmary|imaging", house)) and not is_clinical(
        word
    )
