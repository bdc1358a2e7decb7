"""Side, severity and level of one mention, read from the words around it.

Belongs here: which adjectives belong to a finding, and two-sided phrases ("mild left and moderate right").
Does not belong here: status (``scope``), the spelling of levels (``levels``).

A range takes its higher end: "mild to moderate" is moderate, "moderate to severe" and "moderately severe" are
severe. Grade 1 slips are mild, grade 2 moderate, higher ones severe. "Left greater than right" is bilateral.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from spine_models.corpus.labels.rules.levels import LevelGroup
from spine_models.domain import Severity, Side

_WORDS: Final = re.compile(
    r"(?P<severe>moderately[- ]severe|sev(?:ere?(?:ly)?)?\b|marked(?:ly)?|advanced|high[- ]grade|critical"
    r"|profound(?:ly)?|extreme"
    r"|complete(?!ly (?:re|healed))|gr(?:ade|\.)? (?:[345]|iii|iv|v)\b|near[- ]complete)"
    r"|(?P<moderate>mod(?:erate(?:ly)?)?\b|gr(?:ade|\.)? (?:2|ii)\b)"
    r"|(?P<mild>mild(?:ly)?|minimal(?:ly)?|slight(?:ly)?|minor|trace|gr(?:ade|\.)? (?:1|i)\b|low[- ]grade"
    r"|borderline|minimally)"
    r"|(?P<size_severe>large|huge|massive)|(?P<size_mild>small|tiny)"
    r"|(?P<bilateral>bilat\w*|b/l\b|both|(?<![a-z])[lr] ?(?:[><]|/) ?[lr](?![a-z])|(?:left|right) (?:greater|more"
    r"|worse|less|>"
    r"|<)(?: \w+)? ?(?:than )?(?:the )?"
    r"(?:left|right)|(?:left|right) ?[><] ?(?:left|right)|(?:left and right|right and left)(?! (?:mild"
    r"|moder|sever)))"
    r"|(?P<left>(?<!\w)(?:left(?:ward)?|left-sided|lt\b)|(?<![\w/-])l(?![\w/'-]| \d))"
    r"|(?P<right>(?<!\w)(?:right(?:ward)?|right-sided|rt\b)|(?<![\w/-])r(?![\w/'-]))"
    r"|(?P<central>(?<!para)(?<!para-)(?:central|midline)(?!(?: \w+)? (?:canal|stenosis|narrowing|spinal)))"
)
_SIZES: Final = frozenset({"herniation", "cyst", "synovial", "intramedullary", "extramedullary"})
_NO_SEVERITY: Final = re.compile(r"\b(?:not|no|without|nor)\b(?: \w+)? ?$")
_BREAK_BEFORE: Final = re.compile(
    r"[;:]|,(?! ?(?:mild|mod|sev|left|right|bilateral|more|greater|worse))|\b(?:with|without"
    r"|causing|resulting in"
    r"|producing|but|which|there (?:is|are)|is|are|due to|from|secondary to|contributing to|leads? to"
    r"|results? in)\b"
    r"|(?<!left )(?<!right )(?<!sided )\band (?=(?:\w+ )*?(?:mild|moderate|severe|minimal|slight|marked"
    r"|no)\b)"
)
# "a mass on the left, most compatible with meningioma": what leads to a diagnosis describes it.
_DIAGNOSED: Final = re.compile(
    r",? ?\b(?:(?:(?:most|highly|is|are|which is|and) )?(?:consistent|compatible|in keeping|in line) with"
    r"|suggestive of"
    r"|suspicious for|concerning for|(?:is |are )?(?:most )?(?:likely|probably|possibly)|representing|represents?"
    r"|(?:may|could|favou?red to) (?:represent|be|reflect))\b(?= )"
)
_BREAK_AFTER: Final = re.compile(
    r"[;.]|\b(?:while|whereas|although|with|without|causing|resulting|producing|but|which(?! (?:is"
    r"|are) (?:eccentric|asymmetric|more|worse|mild|mod|sev|large|small))|there (?:is|are)|due to"
    r"|from|secondary to"
    r"|contributing|and (?=(?:left|right|bilateral|no)?\w* ?(?:central|canal|neural|foram|lateral|subart|disc|facet))"
    r"|and (?=(?:a |an )?(?:mild|moderate|severe?|minimal|slight|marked)\w*\b(?! (?:on|to|at|left|right|bilat)))"
    r"|mass effect|(?:\w+ly )?(?:abut|contact|imping|effac|indent|displac|deform|flatten|encroach|compress|extend"
    r"|measur|project)\w*)\b"
)
# "at T4 measuring 1.6 x 1.2 cm along the right side": a size stands between a finding and its side.
_MEASURE: Final = re.compile(
    r"\b(?:(?:which|that) )?measur(?:ing|es|ed) (?:(?:up|about|approximately|around|some|roughly|to|at least) )*"
    r"[\d.]+ ?(?:(?:mm|cm)?(?: ?x ?| by )[\d.]+ ?)*(?:mm|cm)(?: (?:in (?:size|diameter|length)|across))?,?"
    r"|\baris(?:ing|es) (?:from|on)\b"
)
_LAST_BREAK: Final = re.compile(
    r"[,;:]|\b(?:and|with|or|without|at|but|is|are|was|were|causing|suspicious|consistent|compatible|likely|due to"
    r"|in keeping|resulting|producing|which(?! (?:is|are) (?:eccentric|asymmetric|more|worse|mild|mod|sev|large"
    r"|small))|from|there)\b"
)
_ORDER: Final = {None: 0, Severity.MILD: 1, Severity.MODERATE: 2, Severity.SEVERE: 3}


@dataclass(frozen=True)
class Grade:
    """A side with its severity; either may be unknown."""

    side: Side | None
    severity: Severity | None


def severity_rank(severity: str | None) -> int:
    """0 unknown, 1 mild, 2 moderate, 3 severe."""
    return _ORDER[None if severity is None else Severity(severity)]


def merge_sides(sides: set[Side]) -> Side | None:
    """One side for several mentions: left with right, or either with bilateral, is bilateral."""
    lateral = sides - {Side.CENTRAL}
    if len(lateral) > 1 or Side.BILATERAL in lateral:
        return Side.BILATERAL
    return next(iter(lateral)) if lateral else next(iter(sides), None)


def grades(sentence: str, start: int, end: int, low: int, high: int, condition: str) -> list[Grade]:
    """Sides and severities of the finding at ``[start, end)``; at least one entry.

    Args:
        sentence: folded text.
        start: of the finding.
        end: of the finding.
        low: no word before this belongs to it (the end of the finding before).
        high: no word from here on belongs to it (the start of the next finding).
        condition: sizes count as severities for some.
    """
    before = _DIAGNOSED.sub(lambda link: " " * len(link.group(0)), sentence[low:start])
    for match in _BREAK_BEFORE.finditer(before + sentence[start:end]):
        if match.end() <= len(before):
            before = " " * match.end() + before[match.end() :]
    after = sentence[end:high]
    if high < len(sentence):
        # What stands right before the next finding belongs to it.
        cut = max((m.start() for m in _LAST_BREAK.finditer(after)), default=0)
        after = after[:cut]
    after = _MEASURE.sub(lambda size: " " * len(size.group(0)), after)
    stop = _BREAK_AFTER.search(after)
    after = after[: stop.start()] if stop else after
    inside = sentence[start:end]
    led = _paired(_read(f"{before} {inside}", condition))
    trailed = _paired(_read(after, condition))
    if not led:
        return trailed or [Grade(None, None)]
    if not trailed:
        return led
    has_side = any(grade.side for grade in led)
    has_severity = any(grade.severity for grade in led)
    if has_side and has_severity:
        return led
    if has_side:
        worst = max((g.severity for g in trailed), key=severity_rank, default=None)
        if any(g.side for g in trailed):
            return [*led, *trailed] if led[0].side is Side.BILATERAL else trailed
        return [Grade(grade.side, worst) for grade in led]
    # "severe stenosis on the left, moderate on the right": the leading word goes with the first side.
    return _paired(
        [("severity", str(max((g.severity for g in led), key=severity_rank))), *_read(after, condition)]
    )


def read_grades(text: str, condition: str) -> list[Grade]:
    """The sides and severities of a phrase that is all about one finding; empty where it has none."""
    return _paired(_read(text, condition))


def _read(text: str, condition: str) -> list[tuple[str, str]]:
    """(kind, value) of every side and severity word in order; a range of severities is one value."""
    found: list[tuple[str, str]] = []
    last_end = 0
    for match in _WORDS.finditer(text):
        name = str(match.lastgroup)
        if name.startswith("size_"):
            if condition not in _SIZES:
                continue
            name = name.removeprefix("size_")
        if name in ("severe", "moderate", "mild"):
            if _NO_SEVERITY.search(text[: match.start()]):
                continue
            between = text[last_end : match.start()]
            if found and found[-1][0] == "severity" and re.fullmatch(r"[ -]*(?:to|or|/|and|-)[ -]*", between):
                worst = max(found[-1][1], name, key=severity_rank)
                found[-1] = ("severity", worst)
            else:
                found.append(("severity", name))
        else:
            found.append(("side", name))
        last_end = match.end()
    return found


def _paired(words: list[tuple[str, str]]) -> list[Grade]:
    """Pair each side with its severity, in whichever order the phrase has them."""
    if not words:
        return []
    sides = [value for kind, value in words if kind == "side"]
    severities = [value for kind, value in words if kind == "severity"]
    if not sides:
        return [Grade(None, Severity(max(severities, key=severity_rank)))]
    if not severities:
        return [Grade(Side(side), None) for side in dict.fromkeys(sides)]
    severity_first = words[0][0] == "severity"
    pairs: list[Grade] = []
    pending: str | None = None
    if severity_first:
        for kind, value in words:
            if kind == "severity":
                pending = value
            else:
                pairs.append(Grade(Side(value), Severity(pending) if pending else None))
        return pairs
    waiting: list[str] = []
    for kind, value in words:
        if kind == "side":
            waiting.append(value)
        else:
            pairs.extend(Grade(Side(side), Severity(value)) for side in waiting)
            waiting = []
    pairs.extend(Grade(Side(side), None) for side in waiting)
    return pairs


_LINK: Final = re.compile(
    r"[^,;]{0,70}?\b(?:at|of|in|involving|within|from|on|level|for|affecting|through\w*)\b[^,;]{0,30}$"
    r"|[ (]{0,2}$"
    r"|[ \w]{0,25}[ (]$"
)
_APART: Final = re.compile(r"[;]|\b(?:while|whereas|but)\b|, (?:and )?(?:at|with)\b|\band at\b|\band the $")


# "a nodule at T9 and a second one at L3, both in keeping with metastases"
_EACH: Final = re.compile(
    r"\b(?:both|all|each|these)(?: of (?:which|them|these))? (?:are|being|in keeping|in line|consistent"
    r"|compatible|likely|most"
    r"|represent\w*|suggest\w*|suspicious|concerning|having|with|typical|characteristic)\b"
)
_FACET: Final = re.compile(r"\b(left|right)(?:-sided)? (?:\S+ )?(?:facet|zygapophys)")
_NOT_TOGETHER: Final = re.compile(
    r";|\b(?:but|except|not|no|sparing|spares|while|whereas|with|without|there|relative"
    r"|secondary|due|from|because|related|caused|owing|given)\b"
)


def _together(sentence: str, groups: list[LevelGroup], others: list[tuple[int, int]]) -> LevelGroup:
    """The first group with those that follow it in the same breath: "at L4-L5 and, on the left, at L5-S1"."""
    chosen = groups[0]
    for group in groups[1:]:
        between = sentence[chosen.end : group.start]
        taken = any(chosen.end <= other < group.end for other, _ in others)
        if taken or len(between) > 40 or _NOT_TOGETHER.search(between):
            break
        chosen = LevelGroup(chosen.start, group.end, (*chosen.spans, *group.spans))
    return chosen


def only_side(sentence: str) -> Side | None:
    """The one side that a sentence names for all that it tells of: "oedema about the facets bilaterally"."""
    named = {value for kind, value in _read(sentence, "") if kind == "side"} - {"central"}
    return Side(named.pop()) if len(named) == 1 else None


def facet_side(sentence: str) -> Side | None:
    """The side of the one facet that a sentence names: that of a synovial cyst, which comes from it."""
    named = {match.group(1) for match in _FACET.finditer(sentence)}
    return Side(named.pop()) if len(named) == 1 else None


_EXTENDS: Final = re.compile(r"\b(?:extend\w*|spanning|reaching|over|from)\b")


def extends_apart(sentence: str, end: int, group: LevelGroup, others: list[tuple[int, int]]) -> bool:
    """ "stenosis with cord signal change extending over T10 and T11": the extent is of the last finding only."""
    last = max((high for _, high in others if end < high <= group.start), default=None)
    if last is None:
        return False
    return (
        re.search(r"\bwith\b", sentence[end:last]) is not None
        and _EXTENDS.search(sentence[last : group.start]) is not None
    )


def level_of(
    sentence: str, start: int, end: int, groups: list[LevelGroup], others: list[tuple[int, int]]
) -> LevelGroup | None:
    """The group of levels that a finding at ``[start, end)`` is about; null where the sentence names none.

    One group is everybody's. Among several, the one that follows directly ("stenosis at L4-L5") comes first,
    then the one that the phrase opens with ("at L4-L5 there is"), then any that follows.
    """
    if len(groups) <= 1:
        return groups[0] if groups else None
    inside = [g for g in groups if g.start < end and g.end > start]
    if inside:
        return inside[0]
    following = [g for g in groups if g.start >= end]
    preceding = [g for g in groups if g.end <= start]
    if following:
        between = sentence[end : following[0].start]
        taken = any(end <= other < following[0].start for other, _ in others)
        if not taken and not _APART.search(between) and _LINK.match(between):
            return _together(sentence, following, others)
    if preceding:
        group = preceding[-1]
        if _EACH.search(sentence, group.end, start):
            return LevelGroup(
                preceding[0].start, group.end, tuple(span for one in preceding for span in one.spans)
            )
        claimed = any(
            other_end <= group.start
            and _LINK.match(sentence[other_end : group.start])
            and len(sentence[other_end : group.start]) < 12
            for _, other_end in others
        )
        if not claimed or not following:
            return group
    return following[0] if following else preceding[-1]
