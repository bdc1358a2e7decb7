"""A report cut into sentences that are evidence, with the level that each stands under.

Belongs here: sections (what was asked is not what was found), wrapped lines, bullets, sentence ends, level
labels such as "L4-L5:". Does not belong here: what a sentence says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spine_models.corpus.labels.rules.levels import LevelGroup, find_levels
from spine_models.domain import Region

_FOLD: Final = str.maketrans(
    {
        **dict.fromkeys("‐‑‒–—−", "-"),
        **dict.fromkeys("‘’ʼ`", "'"),
        **dict.fromkeys("“”", '"'),
        **dict.fromkeys("\u00a0\u2007\u202f\t\r\f\v|", " "),
    }
)

_NOT_EVIDENCE: Final = (
    r"(?:relevant |pertinent |brief )?clinical(?: (?:history|information|info|indications?|data|details?"
    r"|questions?"
    r"|background|statement|context|notes?|symptoms?|presentation|reason|concern|diagnosis|problem"
    r"|history/indication"
    r"|indication/history|and technical information))?"
    r"|(?:past )?(?:medical |surgical |patient |brief |interval )?history(?: of present illness)?|hx"
    r"|indications?(?: for (?:exam\w*|study|procedure))?|history(?: and|/| / )indications?|indications?(?:/"
    r"| and )history"
    r"|reason(?: for)?(?: (?:the )?(?:exam\w*|study|visit|mri?|test|order|referral|scan|consult\w*))?"
    r"|(?:mri? |imaging |scan(?:ning)? |exam\w* )?(?:techniques?|protocols?|parameters|sequences)"
    r"|technical(?: \w+)?"
    r"|comparisons?(?: (?:exam\w*|stud(?:y|ies)|made))?|compared? with|priors?(?: (?:stud(?:y|ies)|exam\w*"
    r"|imaging))?"
    r"|procedures?|exam(?:ination)?s?|stud(?:y|ies)|contrast(?: agent)?|medications?|symptoms?"
    r"|chief complaint"
    r"|referring (?:diagnosis|physician)|(?:electronically )?signed(?: by)?|dictated(?: by)?"
    r"|medical necessity"
    r"|recommendations?|disclaimer|question(?: to be answered)?|icd(?:-?10)?(?: codes?)?"
    r"|order(?:ing)?(?: \w+)?"
)
_EVIDENCE: Final = (
    r"(?:detailed |imaging |mri? |radiolog\w+ |general |pertinent |other |additional |incidental |final "
    r"|significant )*"
    r"(?:findings?|impressions?|conclusions?|opinions?|summary|results?|reports?|interpretations?"
    r"|observations?"
    r"|comments?|addend(?:um|a)|diagnos(?:is|es)|assessment|body of report|description)(?: and (?:plan"
    r"|recommendation)s?)?"
    r"|impression(?:/| and )(?:plan|recommendation)s?"
)
_ANATOMY: Final = (
    r"alignment|vertebra\w*|marrow|bones?|osseous|dis[ck]s?|cord|conus|canal|soft tissues?"
    r"|paravertebral|paraspinal|foram\w+|facets?|spine|levels?|cervical|thoracic|lumbar|sacr\w+|ligaments?"
    r"|joints?"
    r"|recess(?:es)?|nerves?|roots?|cauda equina|thecal sac|extra-?spinal|curvature|lordosis|fractures?"
    r"|stenosis"
    r"|intra-?dural|epidural|visuali[sz]ed"
)
_HEADING: Final = re.compile(
    rf"(?:(?P<no>{_NOT_EVIDENCE})|(?P<yes>{_EVIDENCE})|(?P<part>[^:.]{{0,60}}?\b(?:{_ANATOMY})[^:.]{{0,40}}))"
    r"[ ]*(?::|-(?= )|$)"
)
_INLINE: Final = re.compile(
    rf"(?:(?<=[.:;!?\])] )|(?<=  )|(?<=\n))(?:(?P<no>{_NOT_EVIDENCE})|(?P<yes>{_EVIDENCE})) ?:"
)
_BULLET: Final = re.compile(
    r"[ ]*(?:(?:[-*•·>+]+|\(?\d{1,2}[.)]|\(?[a-h][.)]|#\d{1,2}[.):]?)[ ]+|\d{1,2}[.)](?=[a-z]{2}))"
)
_NUMBERED: Final = re.compile(r"(?:^|\s)\(?\d{1,2}[.)]\s+$")
_ENDS: Final = re.compile(
    r"[.!?]+[\"')\]]*(?=\s|$)|;|(?<=[a-z0-9)])\.(?=[A-Z][a-z])|(?<=[a-z]) (?=At (?:the )?[CTL]-?\d)"
)
_ABBREVIATION: Final = re.compile(
    r"\b(?:e\.g|i\.e|vs|dr|mr|mrs|ms|approx|fig|cf|etc|resp|incl|no|st|ca|w|cm|mm(?= [a-z]))$"
)
_OPEN_END: Final = re.compile(
    r"(?:[,(/-]|\b(?:of|the|at|and|or|with|to|in|is|are|a|an|no|without|on|from|by|for|which|that|there|be"
    r"|been|as|into"
    r"|this|mild|moderate|severe|left|right|bilateral|than|minimal|neural|central|spinal|disc|disk|was|has"
    r"|have|not"
    r"|due|secondary|causing|resulting))[ ]*$"
)
_LABEL: Final = re.compile(r"(?:at )?(?:the )?(?:level (?:of )?)?(?:the )?$")
_AFTER_LABEL: Final = re.compile(
    r" ?(?:dis[ck])?(?: ?space)? ?(?:levels?)? ?(?:\([^)]*\))? ?(?P<mark>[:,.-]|$)?"
)
_ELSEWHERE: Final = re.compile(
    r"(?:the )?(?:other|remaining|remainder|rest of|otherwise|elsewhere|additional|para-?spin\w+"
    r"|para-?vert\w+"
    r"|pre-?vert\w+|visuali[sz]ed|vertebral|conus|spinal cord|soft tissue|bone marrow|marrow|alignment)\b"
)
_WRAP_COLUMNS: Final = 55
_HEADING_COLUMNS: Final = 90
_LONGEST: Final = 1200
_RUN_ON: Final = 4
"""A section behind "HISTORY:" with so many sentences and no findings heading holds the findings too."""


@dataclass(frozen=True)
class Sentence:
    """``text`` is folded; ``start`` is its offset in the report; ``context`` is the level it stands under."""

    start: int
    text: str
    context: LevelGroup | None


def fold(text: str) -> str:
    """Lower case with plain dashes, quotes and blanks; every character keeps its offset, newlines stay."""
    plain = text.translate(_FOLD)
    lower = plain.lower()
    if len(lower) == len(plain):
        return lower
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in plain)


def evidence_sentences(text: str, region: Region | None = None) -> Iterator[Sentence]:
    """Sentences of the findings and the impression, in order; indication, technique and comparison are left out.

    A text without any heading is all evidence. A heading on a line of its own holds until the next heading; one
    with text behind it that is no evidence ("INDICATION: ...") also ends at a blank line, and where no heading of
    findings follows at all, at the end of its line or, in a report on one line, of its first sentence.
    """
    folded = fold(text)
    evidence = True
    context: LevelGroup | None = None
    sticky = False
    blocks = list(_blocks(folded, text))
    last_finding = max((i for i, block in enumerate(blocks) if block is not None and block[2]), default=-1)
    for number, block in enumerate(blocks):
        if block is None:
            if not sticky:
                context = None
            continue
        start, end, is_evidence, fresh = block
        spans = list(_sentence_spans(text, folded, start, end))
        skipped = 0
        if is_evidence is False and start < end and number > last_finding:
            # No findings heading follows: the text of a run-on report begins inside this section.
            is_evidence, skipped = True, 1 if len(spans) >= _RUN_ON else len(spans)
        if is_evidence is not None and is_evidence != evidence:
            evidence, context = is_evidence, None
        if not evidence:
            continue
        if fresh and not sticky:
            context = None
        for left, right in spans[skipped:]:
            sentence = folded[left:right].replace("\n", " ")
            label, alone = _label(sentence, region, opens_block=left == start)
            if left > start and _NUMBERED.search(folded[max(start, left - 6) : left]):
                context = None
            if label is not None:
                context, sticky = label, alone
            elif _ELSEWHERE.match(sentence):
                context, sticky = None, False
            yield Sentence(left, sentence, context)


def _label(
    sentence: str, region: Region | None, *, opens_block: bool = True
) -> tuple[LevelGroup | None, bool]:
    """The level that a sentence opens with, and whether the label stands alone on its line."""
    if not re.match(r"(?:at )?(?:the )?(?:level )?(?:of )?(?:the )?[cdtls]-?\d", sentence):
        return None, False
    groups = find_levels(sentence[:60], region)
    if not groups or not _LABEL.fullmatch(sentence[: groups[0].start]):
        return None, False
    after = _AFTER_LABEL.match(sentence, groups[0].end)
    mark = after.group("mark") if after else None
    alone = after is not None and not sentence[after.end() :].strip()
    opens = sentence.startswith("at ") or mark in (":", "-", ".") or alone
    is_disc = any(span.first != span.last for span in groups[0].spans)
    if opens or (is_disc and opens_block):
        return groups[0], alone
    return None, False


def _blocks(folded: str, text: str) -> Iterator[tuple[int, int, bool | None, bool] | None]:
    """Runs of lines that are one piece of text: (start, end, evidence or null where unchanged, new paragraph).

    Yields None for a blank line.
    """
    held: list[int] | None = None
    state: bool | None = None
    inline_text = False
    position = 0
    fresh = True
    for line in folded.splitlines(keepends=True):
        begin, stop = position, position + len(line.rstrip())
        position += len(line)
        if not line.strip():
            if held is not None:
                yield from _cut(folded, text, held[0], held[1], state, fresh)
                held, state = None, None
                if inline_text:
                    state, inline_text = True, False
            yield None
            fresh = True
            continue
        begin += len(line) - len(line.lstrip())
        bullet = _BULLET.match(folded, begin, stop)
        content = bullet.end() if bullet else begin
        heading = _heading(folded, text, content, stop)
        if (
            held is not None
            and bullet is None
            and heading is None
            and _continues(folded, text, held, content, stop)
        ):
            held[1] = stop
            continue
        if held is not None:
            yield from _cut(folded, text, held[0], held[1], state, fresh)
            state, fresh = None, True
        if heading is not None:
            kind, after = heading
            state = kind
            inline_text = kind is False and after < stop
            held = [after, stop] if after < stop else None
            if held is None:
                yield (stop, stop, state, True)
                state = None
            continue
        held = [content, stop]
    if held is not None:
        yield from _cut(folded, text, held[0], held[1], state, fresh)


def _heading(folded: str, text: str, begin: int, stop: int) -> tuple[bool, int] | None:
    """(is evidence, where its text begins) of a heading at the line's start; null where there is none.

    The heading "alignment:" is evidence and stays part of its sentence, for it is the sentence's subject.
    """
    limit = min(stop, begin + _HEADING_COLUMNS)
    if folded.find(":", begin, limit) < 0 and not text[begin : begin + 4].isupper():
        return None
    match = _HEADING.match(folded, begin, limit)
    if match is None:
        return None
    closed = match.group(0).rstrip().endswith((":", "-"))
    whole_line = match.end() >= stop
    if not closed and not (whole_line and text[begin : match.end()].isupper()):
        return None
    if closed and match.group(0).rstrip().endswith("-") and not text[begin : match.end()].isupper():
        return None
    if match.group("part") is not None:
        if find_levels(match.group("part")):
            return None
        return True, begin
    after = match.end()
    while after < stop and folded[after] == " ":
        after += 1
    return match.group("no") is None, after


def _cut(
    folded: str, text: str, start: int, end: int, state: bool | None, fresh: bool
) -> Iterator[tuple[int, int, bool | None, bool]]:
    """Cut a block at headings inside it, as in a report on one line."""
    position = start
    for match in _INLINE.finditer(folded, start, end):
        if not text[match.start()].isupper():
            continue
        if match.start() > position:
            yield position, match.start(), state, fresh
        state, position, fresh = match.group("no") is None, match.end(), True
    while position < end and folded[position].isspace():
        position += 1
    if position < end or state is not None:
        yield position, end, state, fresh


def _continues(folded: str, text: str, held: list[int], begin: int, stop: int) -> bool:
    """Whether a line goes on with the sentence of the line before it."""
    before = folded[held[0] : held[1]]
    last = before[-1]
    if _OPEN_END.search(before[-14:]):
        return True
    if last in ".:;!?":
        # The line before ends a sentence; a long one is still the same paragraph, unless a label opens this.
        label, _ = _label(folded[begin:stop], None)
        line_start = before.rfind("\n") + 1
        return label is None and last == "." and len(before) - line_start >= _WRAP_COLUMNS
    if text[begin].islower() or folded[begin] in "(,":
        return True
    line_start = before.rfind("\n") + 1
    label, _ = _label(folded[begin:stop], None)
    return label is None and len(before) - line_start >= _WRAP_COLUMNS


def _sentence_spans(text: str, folded: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    left = start
    for match in _ENDS.finditer(text, start, end):
        if match.group(0).startswith(".") and _ABBREVIATION.search(folded, left, match.start()):
            continue
        if folded[left : match.start()].strip().isdigit():
            continue
        yield from _pieces(folded, left, match.end())
        left = match.end()
    yield from _pieces(folded, left, end)


def _pieces(folded: str, left: int, right: int) -> Iterator[tuple[int, int]]:
    """The trimmed sentence, or pieces of it where it is longer than any person writes one."""
    while right - left > _LONGEST:
        cut = folded.rfind(" ", left + 1, left + _LONGEST)
        cut = cut if cut > 0 else left + _LONGEST
        if (span := _trim(folded, left, cut)) is not None:
            yield span
        left = cut
    if (span := _trim(folded, left, right)) is not None:
        yield span


def _trim(folded: str, left: int, right: int) -> tuple[int, int] | None:
    while left < right and folded[left] in " \n;.":
        left += 1
    bullet = _BULLET.match(folded, left, right)
    if bullet is not None and bullet.end() < right:
        left = bullet.end()
    while right > left and folded[right - 1] in " \n":
        right -= 1
    return (left, right) if left < right else None
