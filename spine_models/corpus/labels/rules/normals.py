"""Structures said to be normal: the absence of what would be wrong with them.

Belongs here: "vertebral body heights and alignment are maintained", "patent neural foramina", "L1-L2: normal".
Does not belong here: denied findings ("no fracture"), which ``scope`` judges.
"""

from __future__ import annotations

import re
from typing import Final

from spine_models.corpus.labels.rules.finding import Finding
from spine_models.corpus.labels.rules.lexicon import Lexicon
from spine_models.domain import Status

_COPULA: Final = re.compile(
    r"(?:[\w ,/()-]{0,45}?\b(?:is|are|appears?|remains?|has been|have been|otherwise|demonstrates?|shows?"
    r"|has|have|exhibits?|displays?)|[\w ,/()-]{0,20}(?::|=)| -"
    r"|:?(?: (?:is|ends|terminates|lies))? at [\w/-]{2,8},|) ?"
    r"(?:(?:\w+ly|otherwise|all|within|overall|of|also|both|well|to be|still|now|again|currently) )*$"
)
_AS_ARE: Final = re.compile(
    r"[\w ]{0,25},? (?:as|so|and so)(?: too)? (?:is|are) (?:the |both |all )*(?:left |right |neural |exit )*"
)
_OTHERWISE: Final = re.compile(r"\b(?:stenos\w+|narrow\w+|encroach\w+|effac\w+|while|whereas|but|except)\b")
_IS: Final = re.compile(r"\b(?:is|are|appears?|remains?|been)\b")
_ATTRIBUTE: Final = re.compile(
    r"(?: (?:in|and|of|the|both|exit|exiting|left|right|overall|bone|sagittal|posterior|anatomic|appearing|lumbar"
    r"|thoracic|lumbosacral"
    r"|\w+al))*[ ,]*$"
)
_BETWEEN: Final = re.compile(
    r"(?:(?!\b(?:is|are|but|with|without|no|except|however|mild\w*|moderate\w*|severe\w*|minimal\w*|marked\w*"
    r"|slight\w*|stenos\w*|narrow\w*|encroach\w*|show\w*|demonstrat\w*)\b)[^;:.])*"
)
_LOST: Final = re.compile(
    r"\b(?:replac\w+|loss|reduction|decrease|lack|straightening|reversal|reversed|limits?|not|less than"
    r"|than|never)"
    r"(?: (?:of|in|the|upper|lower|usual|expected))* ?$"
)
_PROPERTIES: Final = re.compile(
    r" (?:(?:in|of|for|with respect to) )?(?P<named>(?:(?:,|and|or|&|the|t2|overall|sagittal|marrow|bony?)?[ ,/]*"
    r"\b(?:heights?|stature|alignment|signal(?: intensit\w+)?|contours?|configuration|morpholog\w+|calib(?:er|re)"
    r"|size"
    r"|position|shape|appearance|hydration)\b[ ,]*)+)"
)
_OF_PROPERTY: Final = {
    "fracture": {
        "height": "fracture",
        "stature": "fracture",
        "alignment": "spondylolisthesis",
        "signal": "edema",
    },
    "herniation": {"height": "disc_height", "contour": "herniation", "morpholog": "herniation"},
}
"""What is denied where bodies ("fracture") or discs ("herniation") are called normal in some respect only."""
_HEIGHT: Final = re.compile(
    r"(?<!loss of )(?<!loss in )(?<!reduction of )(?<!reduction in )(?<!without )\bheights?\b(?! (?:loss"
    r"|reduction|decrease))"
)
_WHOLE_LEVEL: Final = re.compile(
    r"(?:segment |interspace |dis[ck] )?(?:is |are |appears? |there is "
    r"|shows )?(?:(?:otherwise|grossly|essentially) )?(?:normal|unremarkable|negative|within normal limits"
    r"|wnl|neg|nl|ok|nad|intact|no (?:significant |focal |other |appreciable )?(?:abnormalit(?:y|ies)|findings?"
    r"|patholog\w+|dis[ck] (?:disease|patholog\w+"
    r"|abnormality)))(?: (?:level|in appearance|appearance|dis[ck]|for age|is |are |noted|seen|identified"
    r"|detected|present))*[ .,]*"
)


def normals(sentence: str, words: Lexicon) -> list[Finding]:
    """Findings of absence in one folded sentence."""
    marks = [m for m in words.normal_words.finditer(sentence) if not _LOST.search(sentence[: m.start()])]
    if not marks:
        return []
    structures = _structures(sentence, words)
    found: list[Finding] = []
    for mark in marks:
        before = [s for s in structures if s[2] <= mark.start()]
        after = [s for s in structures if s[1] >= mark.end()]
        link = _COPULA.fullmatch(sentence[before[-1][2] : mark.start()]) if before else None
        if link and _OTHERWISE.search(link.group(0)):
            link = None
        attribute = _ATTRIBUTE.fullmatch(sentence[mark.end() : after[0][1]]) if after else None
        properties = _PROPERTIES.match(sentence, mark.end())
        if link and attribute and "," in attribute.group(0):
            attribute = None
        # "the disc shows normal height" is about the height; "the disc is normal in height" about the disc.
        if attribute and not (link and (properties or _IS.search(link.group(0)))):
            chosen = _chain(sentence, after)
        elif link:
            chosen = _chain(sentence, before[::-1])
            if after and _AS_ARE.fullmatch(sentence[mark.end() : after[0][1]]):
                chosen = [*chosen, *_chain(sentence, after)]
        else:
            chosen = []
        for condition, start, end in chosen:
            for denied in _denied(
                condition, properties["named"] if properties and start < mark.start() else None
            ):
                found.append(Finding(denied, start, end, start, end, Status.ABSENT))
    return found


def _denied(condition: str, properties: str | None) -> list[str]:
    """The conditions that a normal structure denies; where it is normal in some respects, only theirs."""
    if properties is None or condition not in _OF_PROPERTY:
        return [condition]
    return [denied for word, denied in _OF_PROPERTY[condition].items() if word in properties]


def whole_level(rest: str, words: Lexicon) -> tuple[str, ...]:
    """Conditions denied by the text behind a level label that calls the level normal; else none."""
    return words.normal_level if _WHOLE_LEVEL.fullmatch(rest) else ()


def _structures(sentence: str, words: Lexicon) -> list[tuple[str, int, int]]:
    found = [(str(m.lastgroup), m.start(), m.end()) for m in words.normal_structures.finditer(sentence)]
    for match in _HEIGHT.finditer(sentence):
        if any(start < match.end() and match.start() < end for _, start, end in found):
            continue
        discs, bodies = sentence.rfind("dis", 0, match.start()), sentence.rfind("vertebra", 0, match.start())
        if max(discs, bodies) >= 0:
            if discs > bodies:
                # "the disc is dry, height preserved": the disc is named as the height's owner only.
                found = [s for s in found if s[0] != "herniation" or not s[1] <= discs < s[2]]
            condition = "disc_height" if discs > bodies else "fracture"
            found.append((condition, match.start(), match.end()))
    return sorted(found, key=lambda item: item[1])


def _chain(sentence: str, structures: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """The first structure and its neighbours, as long as no verb stands between."""
    chain = structures[:1]
    for structure in structures[1:]:
        low, high = sorted((chain[-1], structure), key=lambda item: item[1])
        between = sentence[low[2] : high[1]]
        if len(between) > 50 or not _BETWEEN.fullmatch(between):
            break
        chain.append(structure)
    return chain
