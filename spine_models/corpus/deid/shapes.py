"""Identifiers that their own shape or a label before them gives away: numbers, addresses, links, great ages.

Belongs here: patterns that need no word list but labels and streets.
Does not belong here: names of people (people) and places (places), dates (dates), known identifiers.
"""

from __future__ import annotations

import re
from typing import Any, Final

from spine_models.corpus.deid.terms import indexed

_LABEL: Final = indexed("label")
_STREET: Final = indexed("street")
_SHAPES: Final[tuple[tuple[Any, ...], ...]] = (
    (re.compile(r"[\w.+\-]+\s?@\s?[\w\-]+(?:\.[\w\-]+)+"), "[EMAIL]", re.compile("@")),
    (
        re.compile(
            r"[\w.+\-]+(?:[ ]?[(\[{](?i:at)[)\]}][ ]?[\w\-]+(?:[ ]?[(\[{](?i:dot)[)\]}][ ]?[\w\-]+|\.[\w\-]+)+"
            r"|[ ](?i:at)[ ][\w\-]+(?:[ ](?i:dot)[ ][\w\-]+)+"
            r"|[ ](?i:at)[ ][\w\-]+(?:\.[\w\-]+)*\.(?:com|org|net|edu|gov|co|ca|au|uk|de|fr|in|ie|nz)\b)"
        ),
        "[EMAIL]",
        re.compile(r"(?i)[(\[{ ]at[)\]} ][ ]?[\w\-]+(?:[ ]?[(\[{ ]dot|\.[\w\-])"),
    ),
    (
        re.compile(r"\b(?:https?://|ftp://|www\.)[^\s,;)\]]+", re.IGNORECASE),
        "[URL]",
        re.compile(r"(?i)://|www\."),
    ),
    (
        re.compile(
            r"\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|health|nhs\.uk|co\.uk|info|hospital)\b(?:/\S*)?",
            re.IGNORECASE,
        ),
        "[URL]",
        re.compile(r"(?i)\.(?:com|org|net|edu|gov|health|nhs|co|info|hospital)\b"),
    ),
    (
        re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"),
        "[IP]",
        re.compile(r"\d\.\d+\.\d"),
    ),
    (re.compile(r"(?<![\d.])[0-2](?:\.\d+){5,}"), "[UID]", re.compile(r"\d\.\d+\.\d")),
    (re.compile(r"(?<![\d-])\d{3}[- ]\d{2}[- ]\d{4}(?![\d-])"), "[ID]"),
    (
        re.compile(
            r"(?<![\w.])(?:\+?\d{1,3}[\s.\-]?)?(?:\(\d{3}\)\s?|\d{3}[\s.\-])\d{3}[\s.\-]\d{4}"
            r"(?:\s*(?:x|ext\.?|extension)\s*\d{1,6})?(?!\d)",
            re.IGNORECASE,
        ),
        "[PHONE]",
    ),
    (
        re.compile(
            r"(?<![\w.])\+\d{1,3}(?:[ .\-()]{0,3}\d{1,5}){2,6}(?!\d)(?:[ \t]*(?:x|ext\.?)[ \t]*\d{1,6})?"
        ),
        "[PHONE]",
    ),
    (re.compile(r"(?<![\w.])\(0\d{1,4}\)[ \-]?\d{3,4}[ \-]?\d{3,5}(?!\d)"), "[PHONE]"),
    (re.compile(r"(?<![\w.\-/])0\d{2,4}[ \-]\d{3,4}[ \-]?\d{3,5}(?![\d/])"), "[PHONE]"),
    (re.compile(r"(?<![\w.\-/])0[2-9][ \-]\d{4}[ \-]\d{4}(?!\d)"), "[PHONE]"),
    (re.compile(r"(?<![\w.\-/])\(\d{3}\)[ ]?\d{4}(?!\d)"), "[PHONE]"),
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
    (
        re.compile(
            r"\b(?:(?i:suite|ste|unit|level|no\.?|flat|apt)\.?[ \t]*[\w/]{1,6},?[ \t]+)?\d{1,5}[A-Za-z]?"
            r"(?:/\d{1,4})?,?[ \t]+"
            rf"(?:(?!{_STREET}\b)[A-Z][\w'’.]*[ \t]+){{1,4}}(?i:{_STREET})\b\.?(?:,?[ \t]+[A-Z][\w'’\-]+){{0,3}}"
            r"(?:[ ,\-]+(?:VIC|NSW|QLD|WA|SA|TAS|ACT|NT)?[ ]*\d{4,6})?"
        ),
        "[ADDRESS]",
    ),
    (
        re.compile(
            r"(?<!\w)\d{1,4}(?:bis|ter)?,?[ \t]+(?:rue|avenue|av\.|place|chemin|via|viale|calle"
            r"|rua)[ \t]+[^,\n;|]{3,40}(?:,[ \t]*\d{5}[ \t]+[^\W\d_][\w\-]+(?:[ \-][A-Z][\w\-]+){0,3})?"
        ),
        "[ADDRESS]",
    ),
    (
        re.compile(
            r"(?<!\w)(?=[A-ZÄÖÜ])[\w\-]{3,30}(?i:stra(?:ß|ss)e|str\.|allee|weg|platz|gasse|ring|damm|straat|laan|gatan|vej)"
            r"[ \t]+\d{1,4}[a-z]?\b(?:,?[ \t]+(?:[A-Z]{1,2}-)?\d{4,5}[ \t]+(?=[A-ZÄÖÜ])[\w\-]+)?"
        ),
        "[ADDRESS]",
    ),
    (
        re.compile(
            r"\b(?:The|Old|New)[ \t]+(?:Square|Green|Crescent|Terrace|Close|Mews|Quay|Cottage|Lodge"
            r"|Manor)\b(?:,[ \t]+[A-Z][\w'’]+){0,2}(?:,[ \t]+(?:Co\.|County)[ \t]+[A-Z]\w+)?"
        ),
        "[ADDRESS]",
    ),
    (re.compile(r"\bCo\.[ \t]+[A-Z][a-z]{3,}"), "[ADDRESS]"),
    (
        re.compile(
            r"(?:\b(?:[A-Z][\w'’]*[ \t]+){1,3}(?i:lane|road|street|avenue|close|drive|way|crescent"
            r"|terrace|grove|gardens|hill)"
            r",?[ \t]+)?(?:[A-Z][a-z]+[ \t]+)?\b[A-Z]{1,2}\d[A-Z\d]?[ ]\d[A-Z]{2}\b"
        ),
        "[ADDRESS]",
        re.compile(r"\d[A-Z]{2}\b"),
    ),
    (re.compile(r"\b[ABCEGHJ-NPRSTVXY]\d[A-Z][ -]?\d[A-Z]\d\b"), "[ADDRESS]"),
    (re.compile(r"\bP\.?\s?O\.?\s+Box\s+\d+", re.IGNORECASE), "[ADDRESS]"),
    (
        re.compile(
            r"\b[A-Z][a-z]+(?:\s[A-Z][a-z]+)?,\s+[A-Z]{2}\s+\d{5}(?:-\d{4})?\b|\b[A-Z]{2}\s+\d{5}(?:-\d{4})?\b"
        ),
        "[ADDRESS]",
    ),
)
"""A pattern, what stands for its finds, and what a text must have for it to find any where that is quicker seen."""
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
_PLACED: Final = re.compile(
    r"\b(?P<cue>rooms?|rm|bed|bay|ward|cubicle|box|pod|bleep|pager|beeper|ext|extension|x(?=\d-?\d{3}))"
    r"(?P<mid>\.?[ \t]*(?:no\.?|number|#|:)?[ \t]*)"
    r"(?P<value>(?=[\w\-]*\d)[A-Z]?\d{0,5}[A-Z]?(?:-\d{1,5})?)(?![\w/.]?\w|\s*(?:mm\b|%|deg|°))",
    re.IGNORECASE,
)
_HYPHENED_ID: Final = re.compile(
    r"(?<![\w.\-/])(?=[\w\-]*[A-Z])(?=(?:[\w\-]*\d){4})(?![CTLS]\d{1,2}-)[A-Z0-9]{2,6}(?:-[A-Z0-9]{2,8}){1,4}(?![\w\-])"
)
_PLATE: Final = re.compile(
    r"(?<![\w.\-])(?:\d[A-Z]{3}\d{3}|[A-Z]{3}[ -]\d{4}|[A-Z]\d{2}[ ]\d{6,9}|[A-Z]{2}[ ]\d{7,10})(?![\w\-])"
)
_BEFORE_ID: Final = re.compile(r"(?<![\w\[])(?:[A-Z]{1,3}[-/])+(?=\[ID\])")
_BEFORE_ADDRESS: Final = re.compile(
    r"\b(?:suite|ste|unit|level|flat|apt|floor|building|bldg)\.?[ ]*[\w/]{1,6},?\s+\[ADDRESS\]", re.IGNORECASE
)
_SHORT_FAX: Final = re.compile(r"\b(?P<cue>fax|tel|ext)(?P<mid>\.?:?[ ]*)-\d{2,5}(?!\d)", re.IGNORECASE)
_LONG_DIGITS: Final = re.compile(
    r"(?<![\w.])(?!(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[T ]?\d{4,6})?(?!\d))\d{6,}(?![\w]|\.\d)"
)
_MIXED_ID: Final = re.compile(
    r"(?<![\w.])(?=[\w\-]*\d[\w\-]*\d[\w\-]*\d[\w\-]*\d)(?=[\w\-]*[A-Za-z])[A-Za-z]{1,6}[\-_]?\d[\w\-]{4,}(?!\w)"
)

_AGE: Final = re.compile(
    r"(?=[19n])(?:\b(?:9\d|1[01]\d)(?=[\s\-]*(?:years?|yrs?|y/?o\b|y\.o\.|yo\b|y\b|y?\s?/?[MF]\b))"
    r"|(?:(?<=\baged\s)|(?<=\bage\s)|(?<=\bage:\s)|(?<=\bage/sex:\s)|(?<=\bage\sof\s))(?:9\d|1[01]\d)\b"
    r"|\bninety(?:[\s-](?:one|two|three|four|five|six|seven|eight|nine))?(?=[\s-]year))",
    re.IGNORECASE,
)


def shapes(text: str) -> str:
    """E-mails, addresses of the net and the post, telephones, record numbers and ages over 89, by their shape."""
    for pattern, replacement, *needed in _SHAPES:
        if not needed or needed[0].search(text):
            text = pattern.sub(replacement, text)
    text = _LABELLED_PHONE.sub(lambda m: f"{m['cue']}{m['mid']}[PHONE]", text)
    text = _LABELLED_ID.sub(_labelled, text)
    text = _PLATE.sub("[ID]", text)
    text = _HYPHENED_ID.sub(lambda m: m[0] if _technical(m[0]) else "[ID]", text)
    text = _PLACED.sub(lambda m: f"{m['cue']}{m['mid']}[ID]", text)
    text = _LONG_DIGITS.sub("[ID]", text)
    text = _MIXED_ID.sub(lambda m: m[0] if _technical(m[0]) else "[ID]", text)
    text = _BEFORE_ADDRESS.sub("[ADDRESS]", _BEFORE_ID.sub("", text))
    text = _SHORT_FAX.sub(r"\g<cue>\g<mid>[PHONE]", text)
    return _AGE.sub("90+", text)


def _labelled(match: re.Match[str]) -> str:
    value = match["value"]
    if sum(c.isdigit() for c in value) < 3 or re.fullmatch(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", value):
        return match[0]
    return f"{match['cue']}{match['mid']}[ID]"


def _technical(word: str) -> bool:
    return bool(re.fullmatch(r"(?i)[ctls]\d{1,2}(?:-[ctls]?\d{1,2})+|b\d{1,4}|\d+x\d+", word))
