"""Names nobody announced: capitalised words that are neither of reports nor of plain English, on what cues left over.

Belongs here: the last pass over prose, behind the allowlist of clinical words and eponyms.
Does not belong here: the word lists (terms), or anything a cue can find (people).
"""

from __future__ import annotations

import re
from typing import Final

from spine_models.corpus.deid.date_grammar import MONTHS
from spine_models.corpus.deid.name_shape import name_likeness
from spine_models.corpus.deid.terms import (
    is_ambiguous,
    is_clinical,
    is_eponym,
    is_name,
    is_spinal,
    mostly_lower,
    mostly_upper,
)

_WORD: Final = re.compile(
    r"(?<![\w\[@/-])(?:[^\W\d_]\.){0,2}[^\W\d_][^\W\d_'’]*(?:['’\-][^\W\d_]+)*(?![\w\]@])"
)
_SENTENCE_END: Final = re.compile(r"(?:^|[.!?:;\n•\-–*)\]]|\d\.)[\s\"'(]*$")
_THINGS: Final = (
    r"o?esophagus|columns?|tracts?|nucle(?:us|i)|foramina|groove|pillar|zones?|cages?|vacuum|contracture|hernia"
    r"|diverticulum|ring|lobe|collar|braces?|tongs|splint|device|cells?|canal|membrane|glands?|granulations?"
    r"|fib(?:er|re)s?|bundle|loop|filter|noise|ghosting|stain|rhombus|triad|tetrad|rules?|projection|operation|repair"
    r"|fixation|incision|catheter|drain|forceps|curette|rongeur|hooks?|thumb|grading|staging|formula|equation"
    r"|phenomena|gait|posture|ataxia|paralysis|paraplegia|chorea|dystrophy|neuropathy|myelopathy|encephalopathy"
    r"|degeneration|carcinoma|nodules?|lymphadenitis|striae|aneurysm|anomaly|anomalies|pouch|hiatus|valve|reflexes"
    r"|ulcer|scores|criterion|stenosis|hypertrophy|kyphosis|scoliosis|spondylitis|outcome|cleft|tap|distances?"
    r"|atrophy|cord|laminae|lines|angles|signs|maneuvers|manoeuvres|osteotomies|procedures|diseases|syringostomy"
    r"|laminoplasties|measurements?|manoeuvre|spaces|neuromas?|middle\s+column|prosthesis|implants?|ligamentous"
)
"""Things of medicine that are called after somebody."""
_EPONYM_NEXT: Final = re.compile(
    r"(?:,?\s+(?:and|or|&)\s+(?P<other>[A-Z][^\W\d_]+))?\s+(?:cysts?|lesions?|signs?|tests?|syndromes?|disease|classification|grades?|types?|nodes?|angle|deformity|malformation"
    r"|changes|fractures?|artifacts?|criteria|score|line|scan|fat|water|fraction|method"
    r"|imaging|laminectomy|laminoplasty|triangle|approach|osteotomy|procedure|retractor|punch|needle|rods?|joints?|ligaments?|plexus|artery|space|foramen|reflex|maneuver|manoeuvre|exercises?|extension|index|curve|scale|tumou?rs?|palsy|duct|spine|cleft"
    r"|arthropathy|lymphoma|sarcoma|thyroiditis|histiocytosis|metaplasia|instrumentation|fusion|plates?|interval|ratio|method|technique|sequences?|series|views?|window|stage|phenomenon|matter|substance|body|bodies"
    rf"|{_THINGS})\b"
    r"|\s+(?:is\s+|was\s+|were\s+)?(?:negative|positive)\b",
    re.IGNORECASE,
)
_BETWEEN: Final = re.compile(r"[\s,]{1,3}(?:[A-Z]\.?\s+)?")
_HYPHENED: Final = re.compile(
    r"\[NAME\]['’]?-(?:[ \t]*\n[ \t]*)?(?P<half>[^\W\d_]{2,})|(?<![\w-])(?P<other>[^\W\d_]{2,})-\[NAME\]"
)
_BROKEN: Final = re.compile(
    r"(?<![\w\[])(?P<first>[^\W\d_]{3,})-[ \t]*\r?\n[ \t]*(?P<second>[^\W\d_]{2,})(?![\w\]])"
)
_CAMEL: Final = re.compile(
    r"(?:Mc|Mac|O['’]|De|La|Van|Le|D['’])[A-Z][a-z]+|[A-Z][^\W\d_A-Z]+(?:[-'’][^\W\d_][^\W\d_A-Z]*)+"
)
_DIGIT: Final = re.compile(r"[\s.,\-]{1,3}\d")
_MONTHS: Final = frozenset(m[:3] for m in MONTHS)
_REST: Final = re.compile(r"-[ \t]*\r?\n[ \t]*([^\W\d_]+)")
_START: Final = re.compile(r"([^\W\d_]+)-[ \t]*\r?\n[ \t]*$")
_COMPANION: Final = -1
"""Level of a capitalised word of plain English: part of a name only beside one."""
_VOWEL: Final = re.compile(r"[aeiouyàáâãäåèéêëìíîïòóôõöøùúûüýæœ]")
_NAMED_AFTER: Final = re.compile(
    r"['’]?S?\s+(?:cysts?|lesions?|signs?|tests?|syndromes?|disease|classification|grades?|type|nodes?|angle|deformity|malformation"
    r"|anomaly|phenomenon|fractures?|criteria|score|rods?|tumou?r|sarcoma|lymphoma|triangle|ligament|joints?|thyroiditis"
    rf"|{_THINGS})\b"
    r"|\s+(?:IS\s+|WAS\s+|WERE\s+)?(?:NEGATIVE|POSITIVE)\b",
    re.IGNORECASE,
)
"""What makes an eponym of the word before it even where capitals say nothing."""
_TITLED: Final = re.compile(r"(?:\b(?:St|Saint|Mt|Mount)\.?[ \t]+|(?<![\w-])(?-i:[A-Z])\.[ \t]+)$")
_AFTER_NAME: Final = re.compile(r"\[NAME\],?[ \t]+$")
_BEFORE_NAME: Final = re.compile(r",?[ \t]+\[NAME\]")
_PARTICLES: Final = (
    r"(?i:van|von|de|der|den|del|della|di|da|dos|du|la|le|el|al|bin|binti|ibn|abu|abdul"
    r"|ter|ten|te|zu|zum|mac|mc|ni|mhic|['’]t|d/o|s/o)"
)
_MERGE: Final = re.compile(
    r"(?=[\['’]|\b[^\W\d_])(?:"
    rf"(?:\[NAME\][ \t]+)?(?<![\w\[])(?:{_PARTICLES}[ \t\n]+){{1,3}}(?:\[NAME\](?:[ \t]+\[NAME\])*)|"
    r"(?:\b[A-Z]\.?[ \t]+)?\[NAME\](?:(?:[ \t]+|[ \t]*,[ \t]*|-|[ \t]+[A-Z]\.?[ \t]+)(?:[A-Z]\.[ \t]*)*\[NAME\])+"
    r"|\b(?:[A-Z]\.[ \t]*){1,2}\[NAME\]|\[NAME\],?[ \t]{1,3}[A-Z](?:\.(?=[ \t]|$)|(?=[ \t]*(?:$|[,;|)\]\n])|[ \t]{2}))"
    r"|\[NAME\][ \t][a-z](?=\s*$)|(?<![\w\[])[A-Z]\.[ \-]?(?:[A-Z]\.[ ]?)*\[NAME\])"
)
_NUMERAL: Final = re.compile(r"[IVX]\.?[ \t]+(?=\[)")
_GRADED: Final = re.compile(
    r"\b(?:grade?|type?|class|stage|zone|typ|modic|ranawat|level)[ \t]+$", re.IGNORECASE
)


def unannounced(text: str) -> str:
    """Prose with every word that looks like a person's or place's name replaced by ``[NAME]``."""
    low = mostly_lower(text)
    written_low = frozenset() if low else frozenset(re.findall(r"(?<!\w)[a-z]{3,}(?!\w)", text))
    text = _HYPHENED.sub(
        lambda m: m[0] if is_clinical(m["half"] or m["other"]) and "\n" not in m[0] else "[NAME]", text
    )
    text = _BROKEN.sub(_joined, text)
    marked = list(_WORD.finditer(text))
    ends = [m.end() for m in re.finditer(r"\n", text)] + [len(text) + 1]
    line, shouted = 0, mostly_upper(text[: ends[0]])
    suspects = []
    for match in marked:
        while match.start() >= ends[line]:
            line += 1
            shouted = mostly_upper(text[ends[line - 1] : ends[line]])
        suspects.append(_suspect(text, match, shouted, low, written_low))
    out, at = [], 0
    for index, match in enumerate(marked):
        level = suspects[index]
        if (
            level >= 2
            or (level == 1 and _near(text, marked, suspects, index))
            or (level == _COMPANION and _beside(text, marked, suspects, index))
        ):
            out += [text[at : match.start()], "[NAME]"]
            at = match.end()
    return _MERGE.sub(_merged, "".join(out) + text[at:])


def _merged(match: re.Match[str]) -> str:
    """One mark for a name of several words; the numeral of a grade before it is no initial."""
    numeral = _NUMERAL.match(match[0])
    if numeral and _GRADED.search(match.string, max(0, match.start() - 12), match.start()):
        return f"{numeral[0]}[NAME]"
    return "[NAME]"


def _thing_next(text: str, end: int) -> bool:
    """True where a thing follows that bears the name of the word before ``end``, or of it and a second surname."""
    found = _EPONYM_NEXT.match(text, end)
    return bool(
        found and not (found["other"] and is_clinical(found["other"]) and not is_eponym(found["other"]))
    )


def _near(text: str, marked: list[re.Match[str]], suspects: list[int], index: int) -> bool:
    """True beside another suspect or a name already found."""
    match = marked[index]
    for j in (index - 1, index + 1):
        if 0 <= j < len(marked) and suspects[j] >= 1:
            first, second = (marked[j], match) if j < index else (match, marked[j])
            if is_ambiguous(match[0]) and is_ambiguous(marked[j][0]):
                continue
            broken = "\n" in text[first.end() : second.start()]
            if broken and (suspects[j] < 2 or is_ambiguous(match[0])):
                continue
            if _BETWEEN.fullmatch(text, first.end(), second.start()):
                return True
    return bool(
        _AFTER_NAME.search(text[max(0, match.start() - 12) : match.start()])
        or _BEFORE_NAME.match(text, match.end())
    )


def _beside(text: str, marked: list[re.Match[str]], suspects: list[int], index: int) -> bool:
    """True for a capitalised word of plain English that stands right beside a name."""
    start, end = marked[index].span()
    if text[max(0, start - 7) : start] in ("[NAME] ", "PLACE] ") or text.startswith(
        (" [NAME]", " [PLACE]"), end
    ):
        return True
    return any(
        0 <= j < len(marked)
        and suspects[j] >= 2
        and text[min(end, marked[j].end()) : max(start, marked[j].start())] == " "
        for j in (index - 1, index + 1)
    )


def _joined(match: re.Match[str]) -> str:
    """A word broken at the end of a line: a name where neither its whole nor its halves are words."""
    first, second = match["first"], match["second"]
    if not first[0].isupper() or is_clinical(first + second):
        return match[0]
    if is_clinical(second) and (is_clinical(first) or len(second) > 3):
        return match[0]
    named = is_name(first + second) or is_name(first) or is_name(second)
    return "[NAME]" if named or name_likeness(first + second) > 0 else match[0]


def _suspect(text: str, match: re.Match[str], upper: bool, low: bool, written_low: frozenset[str]) -> int:
    """0 for no name, 1 for a name beside another suspect, 2 for a name."""
    bare = match[0].split(".")[-1]
    capital = bare[0].isupper()
    if len(bare) < 2 or not (capital or low) or _half(text, match):
        return 0
    if not capital:
        return _dictated(text, match, bare)
    folded = re.sub(r"['’]s$", "", bare.casefold())
    if not is_clinical(bare) and _TITLED.search(text[max(0, match.start() - 12) : match.start()]):
        return 2
    if folded[:3] in _MONTHS and (
        text[max(0, match.start() - 2) : match.start()].strip().isdigit() or _DIGIT.match(text, match.end())
    ):
        return 0
    if is_ambiguous(bare):
        if _thing_next(text, match.end()):
            return 0
        if upper or _starts(text, match.start()):
            return 1
        return 2 if bare[1:].islower() else 1
    if is_clinical(bare):
        plain = upper or not bare[1:].islower() or is_spinal(bare) or _starts(text, match.start())
        return 0 if plain else _COMPANION
    if is_name(bare):
        thing = _NAMED_AFTER.match(text, match.end()) if upper else _thing_next(text, match.end())
        return 0 if thing else 2
    if folded in written_low and not upper:
        return 0
    if upper or bare.isupper():
        return 0 if _NAMED_AFTER.match(text, match.end()) else _shouted(folded, upper)
    if not bare[1:].islower() and not _CAMEL.fullmatch(bare):
        return 0
    if _thing_next(text, match.end()) or any(is_eponym(half) for half in bare.split("-")):
        return 0
    return 2 if not _starts(text, match.start()) or name_likeness(folded) > 0.5 else 1


def _starts(text: str, at: int) -> bool:
    """True at the beginning of a sentence, a line or an item."""
    return bool(_SENTENCE_END.search(text[max(0, at - 40) : at]))


def _half(text: str, match: re.Match[str]) -> bool:
    """True for a half of a clinical word that a line's end divides."""
    after = text.startswith("-", match.end()) and _REST.match(text, match.end())
    if after:
        return is_clinical(match[0] + after[1])
    if "-" not in text[max(0, match.start() - 40) : match.start()]:
        return False
    before = _START.search(text[max(0, match.start() - 40) : match.start()])
    return bool(before and is_clinical(before[1] + match[0]))


def _shouted(word: str, upper: bool) -> int:
    """A word in capitals that no list has read: its letters decide."""
    if len(word) < 3 or not _VOWEL.search(word):
        return 0
    likeness = name_likeness(word)
    if len(word) >= (4 if upper else 5) and likeness > (0.0 if upper else 1.5):
        return 2
    return 1 if likeness > -1.0 and (upper or len(word) >= 4) else 0


def _dictated(text: str, match: re.Match[str], word: str) -> int:
    """A word of raw dictation, where nothing is capitalised."""
    if len(word) < 3 or is_clinical(word) or _thing_next(text, match.end()):
        return 0
    if is_name(word):
        return 2
    likeness = name_likeness(word)
    return 2 if likeness > 2.0 and len(word) >= 4 else 1 if likeness > 0.0 else 0
