"""Sentences that leave out what they are about, because a heading or an earlier phrase names it.

Belongs here: "Cord: no lesion", "VERTEBRAE: ... No edema", "at the same level", "mild at C3-4, severe at C5-6". Does
not belong here: headings (``headings``), what a completed sentence says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from spine_models.corpus.labels.rules.attributes import Grade, read_grades
from spine_models.corpus.labels.rules.headings import SUBJECT
from spine_models.corpus.labels.rules.levels import LevelGroup

_LONGEST: Final = 8
"""Words; a longer sentence names what it is about."""
_LEADS: Final = re.compile(
    r"(?P<lead>(?:(?:there (?:is|are)|no|without|any|evidence of|focal|significant|definite|abnormal|possible"
    r"|mild|moderate|severe|minimal|slight|marked|acute|left|right|bilateral) )+)(?P<rest>\w.*)$"
)
_SAME_LEVEL: Final = re.compile(
    r"\b(?:(?:the same|that same|this|that) (?:dis[ck] )?level|(?:these|those|both) (?:\w+ )?levels)\b"
)
_SAME_THING: Final = re.compile(
    r"(?:this|these|it|they|(?:findings?|features|appearances?|changes) (?:is|are|would|suggest\w*|favou?r\w*)) "
    r"(?!level)"
)
_DEFINITE: Final = re.compile(
    r"(?:the|this) (?:(?:left|right|associated|same|residual|remaining|posterior|central|spinal|neural|exit|lateral"
    r"|thecal|vertebral) )*(?:dis[ck](?: space)?|canal|foramen|recess|(?:thecal )?sac|cord|endplates?"
    r"|facet(?: joint)?|slip)"
    r" (?:is|has|shows?|demonstrates?|at this|appears?|itself|remains?)\b"
    r"|(?:the )?differential\b|(?:in (?:combination|conjunction)|together|combined|in association"
    r"|as a (?:result|consequence)"
    r"|consequently|there is"
    r" (?:also|associated|resultant|resulting|consequent|secondary|accompanying|concomitant)|associated"
    r"|resultant|resulting"
    r"|secondary|consequent|with (?:associated|resultant|resulting)|causing|producing|both (?:foramina"
    r"|neural|exit|lateral"
    r"|recesses)|(?:(?:there is|mild|moderate|severe|minimal|slight|marked|extensive|subtle|faint|some|with) )*"
    r"(?:surrounding|peri-?lesional|adjacent) (?:\w+ )?(?:o?edema|marrow|bone))\b"
)
"""A sentence that goes on with the place of the one right before it."""
_TELLS_ON: Final = re.compile(
    r"(?:there (?:is|are) )?(?:also )?(?:an? )?(?:(?:mild|moderate|severe|marked|minimal|slight|small|shallow"
    r"|tiny|large"
    r"|broad-?based|superimposed|left|right|central|bilateral|sided|subtle|to)[ -])+(?!(?:multi-?level|diffuse))"
)
_OF_A_DISC: Final = re.compile(
    r"\b(?:protrusion|extrusion|herniation|lateral recess|subarticular|foramin\w*|foraminal|neural foram\w*)\b"
)
_MANY: Final = re.compile(r"\b(?:levels|multi-?level|throughout|elsewhere|spine|everywhere|above|below)\b")
_ANOTHER: Final = re.compile(
    r"(?:there (?:is|are) )?(?:the |an? |two |three |several )?(?:(?:single|somewhat|very|much|similar\w*"
    r"|second|third|next"
    r"|others?|another|largest"
    r"|biggest|dominant|smallest|smaller|larger|further|additional|tiny|small|more)(?: "
    r"|(?=,)))+(?:(?:ones?|lesions?|focus|foci"
    r"|of (?:these|them|which)|(?:nodular )?enhancement|nodules?|deposits?|example) ?)?"
    r"(?=,|is\b|are\b|at\b|in\b|on\b|lies?\b|lying\b|measur|involv|affect|seen\b|within\b|noted\b|present\b)"
)
_STRUCTURE: Final = re.compile(
    r"\b(?:lateral recess(?:es)?|subarticular (?:recess(?:es)?|zones?)|(?:neural |exit )?foram(?:en|ina)"
    r"|(?:central |spinal )*canal"
    r"|dis[ck] space|cord|lateral recess|foraminal)\b"
)
_PRONOUN: Final = re.compile(
    r"\b(?:it|they|these|this)(?= (?:is|are|remains?|appears?) (?:\w+ )??(?:\w+ly )*(?:narrow|stenos|effac"
    r"|compromis|compress"
    r"|flatten|encroach|occlu))"
)
UNDONE: Final = re.compile(
    r"(?:this|these|it|they|both) (?:(?:has|have|is|are|was|were) )?(?:\w+ly |now |since |been |both )*"
    r"(?:resolved|resorbed|no longer (?:seen|present|visible|identified|evident|demonstrated)|disappeared)\b"
)
"""A sentence that says of the one before that it is over."""

_VERB: Final = re.compile(r"\b(?:is|are|was|were|has|have|shows?|measures?|demonstrates?)\b")
_OF_SUBJECT: Final = re.compile(r"(?:heights?|spaces?|signal|dimensions?|calib(?:re|er))\b")
_LEVEL: Final = r"[ctlds]-?\d{1,2}(?: ?[-/] ?[ctlds]?-?\d{1,2})?"
_GRADE: Final = (
    r"mild(?:ly)?|mod(?:erate(?:ly)?)?|sev(?:ere(?:ly)?)?|marked(?:ly)?|minimal(?:ly)?|slight(?:ly)?|trace"
    r"|left|right|bilateral(?:ly)?|both|sided|sides|bilat|lt|rt|l|r|b/l"
)
_SHARE: Final = re.compile(
    rf"(?:[ ,;:()/-]|\b(?:and|at|is|to|on|in|the|with|then|also|more|worse|than|greater|most|through|thru|level"
    rf"|degree|{_GRADE}|{_LEVEL})\b)*"
)
_GRADED_ONLY: Final = re.compile(
    rf"(?:and |while |whereas )?(?:at )?(?:the )?{_LEVEL}(?: level)?,? ?(?:(?:it|this|they|narrowing"
    rf"|stenosis) )?(?:is |are )?"
    rf"(?:(?:{_GRADE}|to|on|the|and|narrowing|stenosis)[ ,]*)+[.;]?"
)
_HEADED: Final = re.compile(r" ?(?:level )?(?:(?:dis[ck]|neural|central|spinal|canal|bilateral) )*")
_ASIDE: Final = re.compile(
    r" ?\([a-z -]+\)| (?:on|to) (?:the )?(?:left|right|both sides)(?: side)?(?=,? (?:and|with)\b|[,;])"
)
_GRADED: Final = re.compile(rf"\b(?:{_GRADE})\b")


@dataclass(frozen=True)
class Share:
    """One place in a list of places with grades of their own; none where the grade stands before the finding."""

    group: LevelGroup
    grades: list[Grade]


def same_place(sentence: str) -> bool:
    """Whether a sentence without a level speaks of the place named last: "at the same level", "this may be"."""
    return _SAME_THING.match(sentence) is not None or (
        "level" in sentence and _SAME_LEVEL.search(sentence) is not None
    )


def goes_on(sentence: str) -> bool:
    """Whether a sentence without a level speaks of the place of the sentence right before it."""
    return _DEFINITE.match(sentence) is not None


def tells_on(sentence: str) -> bool:
    """Whether a sentence may tell more of the disc that the paragraph named last: "There is a small protrusion"."""
    return (
        _TELLS_ON.match(sentence) is not None
        and _OF_A_DISC.search(sentence) is not None
        and _MANY.search(sentence) is None
    )


def another(sentence: str) -> bool:
    """Whether a sentence tells of one more of what the sentence before named: "The largest, at C3-4, ..."."""
    return _ANOTHER.match(sentence) is not None


def graded_only(sentence: str) -> bool:
    """Whether a sentence only grades, at a further level, what the sentence before told of: "at C4-5 it is mild"."""
    return _GRADED_ONLY.fullmatch(sentence) is not None


def with_antecedent(sentence: str, before: str) -> str | None:
    """The sentence with the structure named last in place of "it"; null where there is neither."""
    pronoun = _PRONOUN.search(sentence)
    if pronoun is None:
        return None
    named = [m.group(0) for m in _STRUCTURE.finditer(before)]
    if not named:
        return None
    name = {"foraminal": "foramina"}.get(named[-1], named[-1])
    return f"{sentence[: pronoun.start()]}{name}{sentence[pronoun.end() :]}"


def completed(sentence: str, subject: str | None) -> str | None:
    """The sentence with its subject put in; null where it is too long to have left it out."""
    own = SUBJECT.match(sentence)
    rest = sentence
    if own is not None:
        subject, rest = own["subject"], own["rest"].strip()
    if subject is None or not rest or len(rest.split()) > _LONGEST:
        return None
    led = _LEADS.match(rest)
    if led is not None:
        return f"{led['lead']}{subject} {led['rest']}"
    if _OF_SUBJECT.match(rest):
        return f"{subject} {rest}"
    if _VERB.search(rest):
        return None
    return f"{subject} are {rest}" if own is not None else f"{subject}: {rest}"


def shares(sentence: str, end: int, high: int, groups: list[LevelGroup], condition: str) -> list[Share]:
    """What each place of a list has, where a finding that ends at ``end`` is graded place by place.

    "narrowing at C3-4, moderate at C5-6 and severe at C6-7", "stenosis: C3-4 mild right, C4-5 severe left". Empty
    where fewer than two places have words of their own; then the finding's grade holds for all.
    """
    listed = [g for g in groups if end <= g.start and g.end <= high]
    if len(listed) < 2 or _SHARE.fullmatch(sentence[end : listed[-1].end]) is None:
        return []
    ends = [_ASIDE.match(sentence, g.end) for g in listed]
    stops = [g.end if aside is None else aside.end() for g, aside in zip(listed, ends, strict=True)]
    tail = _SHARE.match(sentence[listed[-1].end : high])
    behind = tail is not None and _GRADED.search(tail.group(0)) is not None
    follows = behind and _GRADED.search(sentence[end : listed[0].start]) is None
    after = [*(g.start for g in listed[1:]), listed[-1].end + (tail.end() if tail else 0)]
    before = [end, *stops[:-1]]
    pieces = [
        sentence[g.end : until] if follows else f"{sentence[since : g.start]} {sentence[g.end : stop]}"
        for g, since, stop, until in zip(listed, before, stops, after, strict=True)
    ]
    read = [read_grades(piece, condition) for piece in pieces]
    if sum(any(grade.severity or grade.side for grade in grades) for grades in read[1:]) == 0:
        return []
    return [Share(group, grades) for group, grades in zip(listed, read, strict=True)]


def shares_before(
    sentence: str, low: int, start: int, groups: list[LevelGroup], condition: str
) -> list[Share]:
    """What each place has that stands graded before the finding: "mild L4-5 and severe L5-S1 stenosis"."""
    listed = [g for g in groups if low <= g.start and g.end <= start]
    if len(listed) < 2 or _HEADED.fullmatch(sentence, listed[-1].end, start) is None:
        return []
    begins = [low, *(g.end for g in listed[:-1])]
    pieces = [sentence[since : g.start] for since, g in zip(begins, listed, strict=True)]
    if any(_SHARE.fullmatch(piece) is None for piece in pieces[1:]):
        return []
    read = [read_grades(piece[-40:], condition) for piece in pieces]
    if not all(any(grade.severity or grade.side for grade in grades) for grades in read):
        return []
    return [Share(group, grades) for group, grades in zip(listed, read, strict=True)]
