"""Narrowing of canal, foramina and lateral recesses: places and heads that share each other.

Belongs here: "no canal, lateral recess or foraminal stenosis", "narrowing of the left foramen", "the foramina are
mildly narrowed", "foramina: moderate left". Does not belong here: denial, doubt, sides, levels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from spine_models.corpus.labels.rules.finding import Finding
from spine_models.corpus.labels.rules.lexicon import Lexicon
from spine_models.domain import Status

_HEAD: Final = re.compile(
    r"\b(?:(?P<noun>stenos[ei]s|narr?owings?|encroachments?|compromise|effacement|impingement|constriction"
    r"|occlusion"
    r"|obliteration|crowding|compression|patency)"
    r"|(?P<verb>narr?ow(?:s|ing|ed)?|encroach(?:es|ing|ed)|effac(?:es|ing|ed)|compromis(?:es|ing|ed)"
    r"|stenos(?:ed|ing)"
    r"|stenotic|impinge(?:s|d)?|impinging|obliterat(?:es|ing|ed)|constrict(?:s|ing|ed)|occlud(?:es|ing|ed)"
    r"|crowd(?:s|ing|ed)|compress(?:es|ing|ed)))\b"
)
_WORTH_READING: Final = re.compile(
    r"stenos|narr|encroach|compromi|effac|imping|constrict|occlu|obliter|crowd|compress|canal|foram|recess|artic"
    r"|sac\b|\bnf|\blr"
)
_NOT_THIS: Final = re.compile(
    r"(?:space|dis[ck]|joint|arter(?:y|ial)|vascular|carotid|airway|tracheal|vessel|root|nerve|sleeve|cord"
    r"|esophageal|aortic"
    r"|cauda equina)s? (?:(?:is|are|appears?|remains?) (?:\w+ly )?)?$"
)
_LEVEL: Final = r"[ctl]\d{1,2}(?: ?[-/] ?[ctls]?\d{1,2})?"
_ADJECTIVE: Final = (
    r"(?:mild|mod|sev|r|l|lt|rt|b/l|bilat|moderate|severe|marked|minimal|slight|trace|advanced|significant"
    r"|high-grade|high|low|grade"
    r"|critical"
    r"|mildly|moderately|severely|left|right|bilateral|bilaterally|both|any|the|neural|osseous|bony"
    r"|degenerative|zone"
    r"|zones|recess|entry|exit|sided|level|at|in|worse|greater|than|more|further|acquired|congenital"
    r"|developmental|ap"
    r"|relative|focal|diffuse|multilevel|spinal|central|associated|appreciable|definite|new|some"
    r"|mild-to-moderate|moderate-to-severe|left-sided|right-sided|overall|proximal|distal|canal|inferior"
    r"|superior"
    rf"|substantial|clear|evidence|of|persistent|residual|to|secondary|stable|unchanged|{_LEVEL})"
)
_FILL: Final = re.compile(rf"(?:[ ,/()&><-]|\b{_ADJECTIVE}\b|\b(?:and|or|nor)\b)*")
_TIGHT: Final = re.compile(rf"(?:[ /()><-]|\b{_ADJECTIVE}\b|\b(?:and|or|to|,)\b)*")
_COORDINATE: Final = re.compile(r"[,/&]|\b(?:and|or|nor)\b|\bas well as\b")
_AFTER_HEAD: Final = re.compile(
    r"(?:[ -]|\b(?:of|in|at|dimensions?|diameter|calib(?:re|er)|within|on|upon|into|to|involving|along|affecting"
    r"|both|the|entire|these|its"
    r"|their|on the"
    rf"|{_ADJECTIVE[3:-1]})\b)*"
)
_SUBJECT: Final = re.compile(
    r"[^;]{0,70}?(?::|\b(?:is|are|was|were|appears?|remains?|shows?|showing|demonstrates?|demonstrating|has"
    r"|have|with|be"
    r"|exhibits?|reveals?|there is|there are|becomes|not)\b)[^;:]{0,60}"
    # telegraphic: "foramina mildly narrowed"
    r"|(?:[ ]|\b(?:\w+ly|left|right|both|r|l|mod|sev)\b)*"
)
_GRADES: Final = (
    r"(?:there is )?(?:(?:mild|mod(?:erate)?|sev(?:ere)?|marked|minimal|slight|trace|left|right|bilateral|bilat|both"
    r"|narrow|tight|small|lt|rt|l|r|b/l|to|and|or|at|on|in|the|sides?|sided|worse|greater|than|more|degree"
    rf"|(?:mild|moderate|severe|bilateral)ly|{_LEVEL})\b[ /><-]*)+(?=[,;.(]|$)"
)
_VALUE: Final = re.compile(
    rf"(?: is| are| -| bilaterally)? ?(?::|=|-) ?(?:(?P<grade>{_GRADES})"
    r"|(?P<none>none|nil|nl\b|no\b(?! \w)|neg(?:ative)?\b|not narrowed|clear|open|-(?= ?(?:[,;.]|$))))"
    rf"| (?:(?P<bare_grade>(?=[lr]|mild|mod|sev|min|marked|tight|narrow){_GRADES})"
    r"|(?P<bare_none>-|neg|nl|ok)(?= ?(?:[,;.]|$)))"
)
"""A table's value behind its place: "canal: none", "NF R sev / L mild", "LR -". A heading with a sentence behind it
("Foramina: left perineural cyst") is no table: nothing but grades, sides and levels may stand in the value."""
_SMALL: Final = re.compile(
    rf"(?: bilaterally)?(?: at {_LEVEL})? (?:is|are|appears?) (?:\w+ly )*(?:small|tight|narrow|attenuated"
    rf"|pinched|squeezed"
    r"|reduced|diminished)\b"
)
_SMALL_SIZE: Final = re.compile(
    rf" (?:calib(?:re|er)|(?:ap )?diameter|dimensions?|cross-sectional area)(?: at {_LEVEL})? (?:is|are|appears?"
    rf"|has been)"
    r" (?:\w+ly )*(?:small|narrow|reduced|decreased|diminished|narrowed)\b"
)
_EXCEPT: Final = re.compile(
    r"\b(?:aside from|apart from|except(?:ing)?(?: for)?|other than|save for|besides|with (?:the exception of"
    r"|only))\b"
    r"(?![^,;]*[,;])"
)
_HAS: Final = re.compile(r" (?:with|has|have|shows?|demonstrates?|exhibits?) [^,;]*$")
_PLAINLY: Final = re.compile(r" (?:is|are|appears?|remains?)(?: \w+ly)+ ")
_SAC_HEADS: Final = re.compile(r"narrow|stenos|constrict|compress")


@dataclass(frozen=True)
class _Place:
    condition: str
    start: int
    end: int
    sac: bool


def narrowings(sentence: str, words: Lexicon) -> list[Finding]:
    """Findings of canal, neuroforaminal and subarticular narrowing in one folded sentence."""
    if not _WORTH_READING.search(sentence):
        return []
    places = [
        _Place(str(m.lastgroup), m.start(), m.end(), "sac" in m.group(0))
        for m in words.structures.finditer(sentence)
    ]
    found: list[Finding] = []
    used: set[_Place] = set()
    last_conditions: tuple[str, ...] = ()
    last_end = 0
    for number, head in enumerate(_HEAD.finditer(sentence)):
        if _NOT_THIS.search(sentence[: head.start()]) or head.group(0) == "patency":
            continue
        chain, predicate = _places_of(sentence, head, places, used)
        chain = [p for p in chain if not p.sac or _SAC_HEADS.match(head.group(0))]
        if head.group(0).startswith("compress"):
            chain = [p for p in chain if p.sac or p.condition != "canal"]
        if not chain and head.group("noun") and found and _EXCEPT.search(sentence, last_end, head.start()):
            # "no canal stenosis except mild narrowing at L4-5": the places of the head before.
            found += [_finding(c, head.start(), head.end(), head, number) for c in last_conditions]
            continue
        if not chain:
            bare = head.group(0).startswith("stenos") and head.group("noun")
            if bare and not any(head.start() < f.judge_end and f.judge_start < head.end() for f in found):
                found.append(_finding("canal", head.start(), head.end(), head, number))
            continue
        last_conditions, last_end = tuple(dict.fromkeys(place.condition for place in chain)), head.end()
        for place in chain:
            used.add(place)
            if predicate or place.start > head.start():
                start, end = min(place.start, head.start()), max(place.end, head.end())
                plain = _PLAINLY.fullmatch(sentence, place.end, head.start())
                one_phrase = (
                    not predicate
                    or plain
                    or head.group("noun")
                    or _HAS.match(sentence, place.end, head.start())
                )
                inside = (start, end) if one_phrase else (place.start, place.end)
                judged = (head.start(), head.end()) if predicate else (start, end)
                found.append(Finding(place.condition, *inside, *judged, Status.PRESENT, number))
            else:
                last = place is chain[-1]
                end = head.end() if last else place.end
                found.append(
                    Finding(
                        place.condition, place.start, end, place.start, head.end(), Status.PRESENT, number
                    )
                )
    found.extend(_values(sentence, places, used))
    return found


def _finding(condition: str, start: int, end: int, head: re.Match[str], number: int) -> Finding:
    return Finding(condition, start, end, head.start(), head.end(), Status.PRESENT, number)


def _places_of(
    sentence: str, head: re.Match[str], places: list[_Place], used: set[_Place]
) -> tuple[list[_Place], bool]:
    """The places that a head is about, in order, and whether it stands as their predicate."""
    before = [p for p in places if p.end <= head.start()]
    after = [p for p in places if p.start >= head.end()]
    owned = bool(before) and before[-1] in used and bool(after)
    if owned and _AFTER_HEAD.fullmatch(sentence[head.end() : after[0].start]):
        # "narrowing of both lateral recesses and mild narrowing of the canal": the recesses have theirs.
        return _extended(sentence, after[::-1], backwards=False), False
    if head.group("noun") and before and _tight(sentence[before[-1].end : head.start()]):
        return _extended(sentence, before), False
    if after and _AFTER_HEAD.fullmatch(sentence[head.end() : after[0].start]):
        return _extended(sentence, after[::-1], backwards=False), False
    if before and before[-1] not in used and _SUBJECT.fullmatch(sentence[before[-1].end : head.start()]):
        return _extended(sentence, before), True
    return [], False


def _tight(between: str) -> bool:
    return len(between) < 60 and _TIGHT.fullmatch(between) is not None


def _extended(sentence: str, places: list[_Place], *, backwards: bool = True) -> list[_Place]:
    """The last of ``places`` and those that a comma, "and" or "or" ties to it."""
    chain = [places[-1]]
    for place in places[-2::-1]:
        low, high = (place, chain[-1]) if backwards else (chain[-1], place)
        between = sentence[low.end : high.start]
        if not (_FILL.fullmatch(between) and _COORDINATE.search(between)):
            break
        chain.append(place)
    return chain[::-1] if backwards else chain


def _values(sentence: str, places: list[_Place], used: set[_Place]) -> list[Finding]:
    """Templates with a value behind the place ("foramina: moderate left") and "the canal is small"."""
    found = []
    for place in places:
        small = _SMALL_SIZE.match(sentence, place.end)
        if place in used or (place.sac and small is None):
            continue
        value = _VALUE.match(sentence, place.end)
        small = small or _SMALL.match(sentence, place.end)
        if value is not None:
            reading = Status.PRESENT if value.group("grade") or value.group("bare_grade") else Status.ABSENT
            found.append(Finding(place.condition, place.start, place.end, value.start(), place.end, reading))
        elif small is not None:
            found.append(
                Finding(
                    place.condition, place.start, small.end(), small.end() - 1, small.end(), Status.PRESENT
                )
            )
    return found
