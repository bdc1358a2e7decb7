"""Identifiers that their own shape or a label before them gives away: numbers, addresses, links, great ages.

Belongs here: patterns that need no word list but labels and streets.
Does not belong here: names of people (people) and places (places), dates (dates), known identifiers.
"""

from __future__ import annotations

import re
from typing import Final

from spine_models.corpus.deid.terms import alternatives

_LABEL: Final = alternatives("label")
_STREET: Final = alternatives("street")
_SHAPES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"[\w.+\-]+\s?@\s?[\w\-]+(?:\.[\w\-]+)+"), "[EMAIL]"),
    (re.compile(r"\b(?:https?://|ftp://|www\.)[^\s,;)\]]+", re.IGNORECASE), "[URL]"),
    (
        re.compile(
            r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|health|nhs\.uk|co\.uk|info|hospital)\b(?:/\S*)?",
            re.IGNORECASE,
        ),
        "[URL]",
    ),
    (
        re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"),
        "[IP]",
    ),
    (re.compile(r"(?<![\d.])[0-2](?:\.\d+){5,}"), "[UID]"),
    (re.compile(r"(?<![\d-])\d{3}[- ]\d{2}[- ]\d{4}(?![\d-])"), "[ID]"),
    (
        re.compile(
            r"(?<![\w.])(?:\+?\d{1,3}[\s.\-]?)?(?:\(\d{3}\)\s?|\d{3}[\s.\-])\d{3}[\s.\-]\d{4}"
            r"(?:\s*(?:x|ext\.?|extension)\s*\d{1,6})?(?!\d)",
            re.IGNORECASE,
        ),
        "[PHONE]",
    ),
    (re.compile(r"(?<![\w.])\+\d{1,3}(?:[\s.\-()]{0,2}\d{2,5}){2,5}(?!\d)"), "[PHONE]"),
    (re.compile(r"(?<![\w.\-])\d{3}-\d{4}(?![\w\-])"), "[PHONE]"),
    (
        re.compile(
            r"(?<!\w)\d{1,5}[A-Za-z]?[ \t]+(?:[NSEW]\.?[ \t]+)?"
            rf"(?:(?!{_STREET}\b)[A-Z0-9][\w'’.]*[ \t]+){{1,4}}(?i:{_STREET})\b\.?"
            r"(?:,?\s*(?:Apt|Suite|Ste|Unit|#)\.?\s*\w+)?(?:,\s*[A-Z][\w .'’-]{2,30})?"
            r"(?:,?\s+[A-Z]{2}\s+\d{5}(?:-\d{4})?)?"
        ),
        "[ADDRESS]",
    ),
    (re.compile(r"\bP\.?\s?O\.?\s+Box\s+\d+", re.IGNORECASE), "[ADDRESS]"),
    (
        re.compile(
            r"\b[A-Z][a-z]+(?:\s[A-Z][a-z]+)?,\s+[A-Z]{2}\s+\d{5}(?:-\d{4})?\b|\b[A-Z]{2}\s+\d{5}(?:-\d{4})?\b"
        ),
        "[ADDRESS]",
    ),
)
_LABELLED_PHONE: Final = re.compile(
    r"\b(?P<cue>phone|telephone|tel|fax|pager|beeper|mobile|cell|callback|ext(?:ension)?|call(?:ed)?\s+(?:back\s+)?at)"
    r"(?P<mid>\W{1,3}(?:no\.?|number|#)?\W{0,3})\+?\d[\d\s().\-]{2,18}\d",
    re.IGNORECASE,
)
_LABELLED_ID: Final = re.compile(
    rf"\b(?P<cue>{_LABEL})(?P<mid>\s*(?:number|no\.?|num\.?|id)?\s*[:#=]*\s*(?:is\s+)?)"
    r"(?P<value>[A-Z]{0,5}[\-_/. ]?\d[\w\-/.]{2,})(?<![.,])",
    re.IGNORECASE,
)
_LONG_DIGITS: Final = re.compile(
    r"(?<![\w.])(?!(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[T ]?\d{4,6})?(?!\d))\d{6,}(?![\w]|\.\d)"
)
_MIXED_ID: Final = re.compile(
    r"(?<![\w.])(?=[\w\-]*\d[\w\-]*\d[\w\-]*\d[\w\-]*\d)(?=[\w\-]*[A-Za-z])[A-Za-z]{1,6}[\-_]?\d[\w\-]{4,}(?!\w)"
)

_AGE: Final = re.compile(
    r"\b(?:9\d|1[0-2]\d)(?=[\s\-]*(?:years?|yrs?|y/?o\b|y\.o\.|yo\b))"
    r"|(?:(?<=\baged\s)|(?<=\bage\s)|(?<=\bage:\s))(?:9\d|1[0-2]\d)\b",
    re.IGNORECASE,
)


def shapes(text: str) -> str:
    """E-mails, addresses of the net and the post, telephones, record numbers and ages over 89, by their shape."""
    for pattern, replacement in _SHAPES:
        text = pattern.sub(replacement, text)
    text = _LABELLED_PHONE.sub(lambda m: f"{m['cue']}{m['mid']}[PHONE]", text)
    text = _LABELLED_ID.sub(_labelled, text)
    text = _LONG_DIGITS.sub("[ID]", text)
    text = _MIXED_ID.sub(lambda m: m[0] if _technical(m[0]) else "[ID]", text)
    return _AGE.sub("90+", text)


def _labelled(match: re.Match[str]) -> str:
    value = match["value"]
    if sum(c.isdigit() for c in value) < 3 or re.fullmatch(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", value):
        return match[0]
    return f"{match['cue']}{match['mid']}[ID]"


def _technical(word: str) -> bool:
    return bool(re.fullmatch(r"(?i)[ctls]\d{1,2}(?:-[ctls]?\d{1,2})+|b\d{1,4}|\d+x\d+", word))
