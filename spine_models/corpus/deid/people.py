"""Names of people that a title, degree, role, verb or relative announces.

Belongs here: how far a name reaches from the word that announces it.
Does not belong here: the announcing words (cue_words.yaml), names that nothing announces (names).
"""

from __future__ import annotations

import re
from typing import Final

from spine_models.corpus.deid.name_shape import name_likeness
from spine_models.corpus.deid.terms import (
    alternatives,
    indexed,
    is_ambiguous,
    is_clinical,
    is_eponym,
    is_name,
    mostly_lower,
    mostly_upper,
)

_W: Final = r"[^\W\d_][^\W\d_'’\-]*(?:['’\-][^\W\d_]+)*"
_TITLE: Final = indexed("title")
_DEGREE: Final = alternatives("degree")
_KIN: Final = indexed("kin")
_SOME_ROLE: Final = rf"(?:(?:the\s+)?{indexed('role')}\b[\s:,]+)?"
_SOME_TITLE: Final = rf"(?:{_TITLE}\b\.?\s+)?"
_MANNER: Final = r"(?:\s+and\s+\w+)?(?:\s+(?:electronically|remotely|preliminarily|digitally|verbally))?"
_WAY: Final = (
    r"(?:\s+(?:directly|verbally|by\s+(?:tele)?phone|personally|over\s+the\s+phone|the\s+\w+|results|findings|these"
    r"|this|with|via|at|to|and|were|was)){0,5}"
)
_CUES: Final = (
    rf"{_TITLE}\b(?:\.?\s+|\s*:\s*)",
    rf"{indexed('done')}{_MANNER}\s+(?:by|with)\s*:?\s+{_SOME_ROLE}{_SOME_TITLE}",
    rf"{indexed('told')}{_WAY}\s+(?:with|to|by)?\s*:?\s*{_SOME_ROLE}{_SOME_TITLE}",
    rf"{indexed('role')}\b(?:\s*(?:name|of\s+record|on\s+call|initials|signature))?\s*"
    rf"(?:[:=,]|\bis\b|\bwas\b)\s*{_SOME_TITLE}",
    r"(?:technologist|technician|tech|radiographer|nurse|interpreter|radiologist|surgeon|resident|fellow)\s+",
    rf"(?:(?:his|her|their|the|patient['’]?s|pt['’]?s)\s+)?{_KIN}\b\s*(?:,|:|\(|\bnamed\b|\bis\b)?\s*{_SOME_TITLE}",
    r"(?:per|cc|attn|attention|from|via|dear|patient|pt|named|known\s+as|a\.?k\.?a\.?|by|with|for|of)"
    rf"\s*:?\s+{_SOME_TITLE}",
)
_NAME_AFTER: Final = re.compile(rf"\b(?P<cue>{'|'.join(_CUES)})", re.IGNORECASE)
_STRONG: Final = re.compile(rf"\b(?:{_TITLE}\b\.?\s*:?|named|a\.?k\.?a\.?|dear)\s*$", re.IGNORECASE)
_AND: Final = re.compile(
    rf"[ \t]*(?:,[ \t]*(?:and[ \t]+|&[ \t]*)?|/[ \t]*|&[ \t]*|[ \t]and[ \t]+){_SOME_TITLE}", re.IGNORECASE
)
_BY_INITIALS: Final = re.compile(
    r"\b(?P<cue>(?:dictated|transcribed|typed|scanned|read|verified|performed|entered|written|injected"
    r"|checked|signed)[ ]+by"
    r"|transcriptionist|typist|tr|trans|initials|reader[ ]?\d|tech(?:nologist)?|d/t)(?P<mid>[ ]*:[ ]*|[ ]+)"
    r"(?P<who>(?:[A-Za-z]\.?){2,3}(?:/[A-Za-z]{2,3})?)(?![\w.])",
    re.IGNORECASE,
)
_SPELLED: Final = re.compile(
    r"\bspel(?:led|t)[ ]*(?:as[ ]*)?[:,]?[ ]*(?:[A-Za-z][ .\-,]{1,2}){1,}[A-Za-z]\b", re.IGNORECASE
)
_USER: Final = re.compile(r"(?<![\w@.])(?P<who>[a-z]{3,14})[_.][a-z]{1,2}(?![\w@.])")
_LOW_DEGREE: Final = re.compile(
    rf"(?P<names>(?:{_W}[ \t]+){{1,2}})(?P<degree>(?:md|rn|pa-c|np|phd|dpt|arnp|crna)\b)"
)
_WEAK: Final = re.compile(r"^(?:per|from|via|patient|pt|by|with|for|of)\b", re.IGNORECASE)
_TOKEN: Final = re.compile(
    rf"\s*(?P<join>,\s+|\s+and\s+|\s*/\s*)?(?P<word>(?:[A-Z]\.){{1,3}}|{_W}(?!\w))(?P<dot>\.(?=\s*[A-Z]?[a-z]?))?"
)
_PARTICLES: Final = frozenset(
    "van von der den de la del di da dos du le el al bin ibn ter ten st san santa mc mac o".split()  # noqa: SIM905
)
_NOBODY: Final = frozenset(
    [
        "colleague",
        "colleagues",
        "sir",
        "madam",
        "sirs",
        "team",
        "all",
        "referrer",
        "friends",
        "parents",
        "patient",
    ]
)
_SAID: Final = re.compile(r"(?:\b(?:by|to|with)|:)[ \t]*$", re.IGNORECASE)
_SAID_OF: Final = re.compile(r"[ \t]*(?:$|[.,;)\n]|(?:and|at|on|in|via|by|over|who)[ \t])", re.IGNORECASE)
_REST: Final = re.compile(r"-[ \t]*\r?\n[ \t]*([^\W\d_]+)")
_OPENING: Final = frozenset(("van", "von", "de", "la", "del", "der"))
_BEFORE_DEGREE: Final = re.compile(
    rf"(?P<names>(?:(?:[A-Z]\.|{_W})[ \t]*,?[ \t]+){{1,4}}|{_W}(?:,[ \t]*|[ \t]+))(?P<degree>{_DEGREE})(?![\w])"
)
_DEGREE_ALONE: Final = re.compile(rf"[ \t,](?=[A-Z])(?:{_DEGREE})(?!\w)")


def people(text: str) -> str:
    """Names that a title, degree, role, verb or relative announces."""
    low = mostly_lower(text)
    text = _SPELLED.sub("[NAME]", text)
    text = _BY_INITIALS.sub(_initials, text)
    text = _USER.sub(lambda m: m[0] if is_clinical(m["who"]) else "[NAME]", text)
    text = _degrees(text)
    text = _LOW_DEGREE.sub(_low_degree, text) if low else text
    out, at = [], 0
    lines = _Lines(text)
    while match := _NAME_AFTER.search(text, at):
        upper = lines.upper(match.end())
        strong, weak = bool(_STRONG.search(match["cue"])), bool(_WEAK.match(match["cue"]))
        end = _run(text, match.end(), strong=strong, weak=weak, upper=upper, low=low)
        out.append(text[at : match.end()])
        at = match.end()
        while end > at:
            out.append("[NAME]")
            at = end
            joined = _AND.match(text, at)
            if not joined:
                break
            end = _run(
                text, joined.end(), strong=bool(_STRONG.search(joined[0])), weak=True, upper=upper, low=low
            )
            if end <= joined.end():
                break
            out.append(joined[0])
            at = joined.end()
    return "".join(out) + text[at:]


def _degrees(text: str) -> str:
    """``_BEFORE_DEGREE`` tried only on lines with a degree in them: they are few, and the pattern is slow."""
    out, at = [], 0
    for found in _DEGREE_ALONE.finditer(text):
        if found.start() < at:
            continue
        start = text.rfind("\n", 0, found.start()) + 1
        end = text.find("\n", found.end())
        end = len(text) if end < 0 else end
        out += [text[at:start], _BEFORE_DEGREE.sub(_degree, text[start:end])]
        at = end
    return "".join(out) + text[at:]


class _Lines:
    """Which lines of a text are written in capitals; asked for rising offsets."""

    def __init__(self, text: str) -> None:
        self._text, self._end, self._upper = text, -1, False

    def upper(self, at: int) -> bool:
        if at > self._end:
            start = self._text.rfind("\n", 0, at) + 1
            self._end = self._text.find("\n", at)
            self._end = len(self._text) if self._end < 0 else self._end
            self._upper = mostly_upper(self._text[start : self._end])
        return self._upper


def _initials(match: re.Match[str]) -> str:
    who = match["who"]
    plain = is_clinical(who.replace(".", "")) or (
        ":" not in match["mid"] and not who.isupper() and "by" not in match["cue"]
    )
    return match[0] if plain else f"{match['cue']}{match['mid']}[NAME]"


def _low_degree(match: re.Match[str]) -> str:
    words = match["names"].split()
    named = [w for w in words if is_name(w) or is_ambiguous(w) or not is_clinical(w)]
    if not named or named[-1] != words[-1]:
        return match[0]
    kept = " ".join(words[: len(words) - len(named)])
    return f"{kept} [NAME] {match['degree']}".lstrip()


def _run(text: str, start: int, *, strong: bool, weak: bool, upper: bool, low: bool) -> int:
    """End of the name that begins at ``start``; ``start`` where none does."""
    at, words, pending, lower_name = start, 0, start, False
    while words < 5:
        token = _TOKEN.match(text, at)
        if not token or "\n\n" in text[at : token.end()] or text[at : token.start("word")].count("\n") > 1:
            break
        word = token["word"]
        if text[at : token.start("word")].count("\n") and words and not word[0].isupper():
            break
        if token["join"] and (not words or " and " in token["join"]):
            break
        bare = word.strip(".")
        initial = (
            len(bare) == 1 and bare.isupper() and (token["dot"] or word.endswith(".") or words > 0 or strong)
        )
        if bare.casefold() in _PARTICLES and not is_clinical(bare):
            at = token.end("word")
            continue
        if words == 0 and bare.casefold() in _OPENING and (bare[0].isupper() or strong):
            at = token.end("word")
            continue
        follows = lower_name and words == 1 and not is_clinical(bare) and token["join"] is None
        broken = _REST.match(text, token.end("word"))
        if broken and is_clinical(bare + broken[1]):
            break
        called = low and strong and words < 2 and (is_ambiguous(bare) or is_name(bare))
        person = words == 0 and not weak and is_eponym(bare) and _alone(text, start, token.end("word"))
        if not (initial or follows or called or person or _taken(word, words == 0, strong, weak, upper)):
            break
        lower_name = lower_name or (not bare[0].isupper() and is_name(bare))
        words += not initial or words > 0
        at = token.end("dot") if initial and token["dot"] else token.end("word")
        pending = at
        if not initial and token["dot"]:
            break
    return pending


def _alone(text: str, start: int, end: int) -> bool:
    """True where a surname that stands for things is the whole of what somebody is said to be."""
    return bool(
        text[start].isupper() and _SAID.search(text, max(0, start - 8), start) and _SAID_OF.match(text, end)
    )


def _taken(word: str, first: bool, strong: bool, weak: bool, upper: bool) -> bool:
    if is_ambiguous(word):
        return word[0].isupper() and (strong or not weak) and not (upper and not strong)
    if word.casefold() in _NOBODY:
        return False
    if weak and word.isupper() and not upper and len(word) <= 4 and not is_name(word):
        return False
    if strong and first:
        return (word[0].isupper() and not upper) or not is_clinical(word) or is_eponym(word)
    if is_clinical(word):
        return False
    if upper and weak:
        return is_name(word) or (len(word) > 3 and name_likeness(word) > 0)
    return word[0].isupper() or is_name(word)


def _degree(match: re.Match[str]) -> str:
    words = list(re.finditer(rf"(?:[A-Z]\.)|{_W}", match["names"]))
    first = None
    for word in reversed(words):
        bare = word[0].strip(".")
        plain = (
            len(bare) == 1
            or (bare[0].isupper() and not is_clinical(bare))
            or is_name(bare)
            or ((is_ambiguous(bare) or is_eponym(bare)) and bare[0].isupper())
        )
        if not plain:
            break
        first = word
    if first is None or len(first[0].strip(".")) < 1:
        return match[0]
    if (
        match["degree"].replace(".", "") in ("DO", "PA", "RT", "DC")
        and "," not in match["names"]
        and len(words) == 1
    ):
        return match[0]
    return match["names"][: first.start()] + "[NAME], " + match["degree"]
