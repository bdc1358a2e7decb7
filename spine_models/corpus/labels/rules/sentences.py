"""A report cut into sentences that are evidence, with the level that each stands under.

Belongs here: wrapped lines, bullets, sentence ends, level labels such as "L4-L5:" and subjects such as "Cord:" that
hold for what follows. Does not belong here: the words of headings (``headings``), what a sentence says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spine_models.corpus.labels.rules.headings import SUBJECT, has_findings, heading_at, inline_headings
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

_BULLET: Final = re.compile(
    r"[ ]*(?:(?:[-*•·>+]+|\(?\d{1,2}[.)]|\(?[a-h][.)]|#\d{1,2}[.):]?)[ ]+|\d{1,2}[.)](?=[a-z]{2}))"
)
_NUMBERED: Final = re.compile(r"(?:^|\s)\(?\d{1,2}[.)]\s+$")
_ENDS: Final = re.compile(
    r"[.!?]+[\"')\]]*(?=\s|$)|;|(?<=[a-z0-9)])\.(?=[A-Z][a-z])|(?<=[a-z]) (?=At (?:the )?[CTL]-?\d)"
    # Dictated marks, and a run-on: "no stenosis at L4-5 there is a protrusion".
    r"|(?<=[a-z]),(?= (?:and |then |next )*(?:level )?(?:at )?[ctlCTL]-?\d{1,2}[-/][ctlsCTLS0-9]{1,3} (?:level )?"
    r"(?:there (?:is|are)"
    r"|the (?:dis[ck]|canal|cord|foramina)|(?:a |an )?(?:(?:mild|moderate|severe|minimal|slight|marked"
    r"|small|large|left|right"
    r"|bilateral|central|broad-based|shallow|to) )+(?:dis[ck]|narrow|stenos|protru|extru|bulg|foram|canal"
    r"|lateral recess|facet)))"
    r"|(?<=[a-z0-9]) (?:period|full stop|new line|next line|new paragraph)(?=[ ,.]|$)"
    r"|(?<=[a-z0-9]) (?=at (?:the )?(?:level of )?[ctlCTL]-?\d{1,2}[-/ctlsCTLS0-9]{0,5} (?:level )?"
    r"(?:there (?:is|are)|the (?:dis[ck]|canal|cord|foramina) (?:is|are|shows?))\b)"
)
_GRADE: Final = r"(?:mild|mod|moderate|sev|severe|marked|minimal|slight|left|right|bilateral|none)\b"
# "foraminal stenosis: C3-4 mild right; C4-5 severe left" is one sentence.
_LISTED: Final = re.compile(
    rf" ?(?:and |at )*[ctls]\d[-/ctls0-9]{{0,6}} ?:? ?(?:{_GRADE}[ -]?(?:to )?)+[;.,]"
    r"| ?(?:the )?(?:differential|most |likely|probabl|possibl|consistent|compatible|favou?r|suspicious|cannot"
    r"|none (?:is|are|was|were) "
    r"|may |could )"
)
_MARKED: Final = re.compile(r"[ctls]\d{1,2} ?[-/] ?[ctls]?\d{1,2} ?(?::|- )")
"""A line that opens with a level and a mark never goes on with the one before."""
_LINE_ENDS: Final = re.compile(r"[.?!] *\n")
_ASKED: Final = re.compile(
    r"(?:r/o|rule out|evaluat|assess|query|quer|exclude|\?|please|known|patient|pt\b|\d+ ?-?(?:years?|y)|history|s/p"
    r"|status|prior|previous|h/o|pain|he\b|she\b|fell|fall|trauma|surgery)"
)
"""How a further line of what was asked begins."""
_ANSWER: Final = re.compile(r" ?(?:no|none|nil|yes|absent|present|negative|not seen)\b")
_ABBREVIATION: Final = re.compile(
    r"\b(?:(?P<always>e\.g|i\.e|vs|dr|mr|mrs|ms|approx|cf|resp|incl|w|gr)|(?P<number>no|fig|ca|st)|etc)$"
)
"""One of group ``number`` is an abbreviation before a digit only ("no. 3"); others but ``always``, mid-sentence."""
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
    r"|pre-?vert\w+|visuali[sz]ed|vertebral|conus|spinal cord|soft tissue|bone marrow(?! o?edema)"
    r"|marrow(?! o?edema)|alignment)\b"
)
_SACRAL: Final = re.compile(r"\bs[2-5]\b|\bsacr(?:um|al|a)\b|\bcoccy")
"""Places that no level names: what is there is not at the level that the text stands under."""
_WRAP_COLUMNS: Final = 55
_LONGEST: Final = 1200
_RUN_ON: Final = 4
"""A section behind "HISTORY:" with so many sentences and no findings heading holds the findings too."""


@dataclass(frozen=True)
class Sentence:
    """A folded sentence.

    Attributes:
        start: its offset in the report.
        text: folded.
        context: the level that it stands under.
        subject: the part of the body whose heading it stands under ("cord"), where there is one.
    """

    start: int
    text: str
    context: LevelGroup | None
    subject: str | None = None


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
    subject: str | None = None
    standing: LevelGroup | None = None
    sticky = False
    blocks = list(_blocks(folded, text, headless=not has_findings(folded)))
    last_finding = max((i for i, block in enumerate(blocks) if block is not None and block[2]), default=-1)
    for number, block in enumerate(blocks):
        if block is None:
            subject = None
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
            evidence, context, subject = is_evidence, None, None
        if not evidence:
            continue
        if is_evidence is not None:
            subject = None
        if not sticky:
            # A bullet stands under the line above its list, never under the level that the bullet before opens with.
            context = None if fresh else standing
        for left, right in spans[skipped:]:
            sentence = folded[left:right].replace("\n", " ")
            label, alone = _label(sentence, region, opens_block=left == start)
            if left > start and _NUMBERED.search(folded[max(start, left - 6) : left]):
                context = None
            if label is not None:
                context, sticky = label, alone
                subject = None
            elif _ELSEWHERE.match(sentence):
                context, sticky = None, False
            named = SUBJECT.match(sentence)
            if named is not None:
                subject = named["subject"]
            yield Sentence(left, sentence, None if _SACRAL.search(sentence) else context, subject)
        if fresh:
            standing = context


def elsewhere(sentence: str) -> bool:
    """Whether a folded sentence opens with what is not at the level that the text stands under."""
    return _ELSEWHERE.match(sentence) is not None or _SACRAL.search(sentence) is not None


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


def _blocks(folded: str, text: str, *, headless: bool) -> Iterator[tuple[int, int, bool | None, bool] | None]:
    """Runs of lines that are one piece of text: (start, end, evidence or null where unchanged, new paragraph).

    Yields None for a blank line. Where no heading of findings follows (``headless``), what stands in the line
    behind "Clinical: neurogenic claudication." is findings.
    """
    held: list[int] | None = None
    state: bool | None = None
    inline_text = False
    position = 0
    fresh = True
    head = (False, 0)
    for line in folded.splitlines(keepends=True):
        begin, stop = position, position + len(line.rstrip())
        position += len(line)
        if not line.strip():
            if held is not None:
                yield from _cut(folded, text, held[0], held[1], state, fresh, headless=headless)
                held, state = None, None
                if inline_text:
                    state, inline_text = True, False
            yield None
            fresh = True
            continue
        begin += len(line) - len(line.lstrip())
        bullet = _BULLET.match(folded, begin, stop)
        content = bullet.end() if bullet else begin
        heading = heading_at(folded, text, content, stop)
        if (
            held is not None
            and bullet is None
            and heading is None
            and _continues(folded, text, held, content, stop)
        ):
            held[1] = stop
            continue
        if held is not None:
            yield from _cut(folded, text, held[0], held[1], state, fresh, headless=headless)
            state, fresh = None, True
        if headless and inline_text and heading is None and not _ASKED.match(folded, content, stop):
            state, inline_text = True, False
        if heading is None or heading[1] == content:
            column = begin - position + len(line)
            # Bullets under a line that is none, or further out, are about the same.
            fresh = bullet is None or (head[0] and column <= head[1])
            if fresh:
                head = (bullet is not None, column)
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
        yield from _cut(folded, text, held[0], held[1], state, fresh, headless=headless)


def _cut(
    folded: str, text: str, start: int, end: int, state: bool | None, fresh: bool, *, headless: bool
) -> Iterator[tuple[int, int, bool | None, bool]]:
    """Cut a block at headings inside it, as in a report on one line."""
    position = start
    opened = state is True or headless
    for match in inline_headings(folded, text, start, end):
        if match.start() > position:
            yield from _resumed(folded, position, match.start(), state, fresh, opened=opened)
        state, position, fresh = match.group("no") is None, match.end(), True
    while position < end and folded[position].isspace():
        position += 1
    if position < end or state is not None:
        yield from _resumed(folded, position, end, state, fresh, opened=opened)


def _resumed(
    folded: str, start: int, end: int, state: bool | None, fresh: bool, *, opened: bool
) -> Iterator[tuple[int, int, bool | None, bool]]:
    """A piece of a block; what was asked inside a report that is ``opened`` ends with its line.

    "Report: MRI spine. Clinical details: ... " has the findings on the next line, without a heading.
    """
    back = _LINE_ENDS.search(folded, start, end) if opened and state is False else None
    if back is None or _ASKED.match(folded, back.end(), end):
        yield start, end, state, fresh
        return
    yield start, back.start() + 1, False, fresh
    yield back.end(), end, True, True


def _continues(folded: str, text: str, held: list[int], begin: int, stop: int) -> bool:
    """Whether a line goes on with the sentence of the line before it."""
    before = folded[held[0] : held[1]]
    last = before[-1]
    if _MARKED.match(folded, begin, stop):
        return False
    if _OPEN_END.search(before[-14:]):
        return True
    if last == ":" and SUBJECT.fullmatch(before):
        return _label(folded[begin:stop], None)[0] is None
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
        if match.group(0) == "." and _abbreviated(text, folded, left, match):
            continue
        if match.group(0) == "?" and _ANSWER.match(folded, match.end()):
            continue
        if match.group(0) == "?" and (match.start() == left or folded[match.start() - 1] in " ,/("):
            # "? fracture": asked of what follows.
            continue
        if match.group(0) == ";" and _LISTED.match(folded[match.end() : match.end() + 60] + ";"):
            continue
        if folded[left : match.start()].strip().isdigit():
            continue
        yield from _pieces(folded, left, match.end())
        left = match.end()
    yield from _pieces(folded, left, end)


def _abbreviated(text: str, folded: str, left: int, dot: re.Match[str]) -> bool:
    """Whether a dot belongs to the word before it and ends no sentence."""
    word = _ABBREVIATION.search(folded, left, dot.start())
    if word is None:
        return False
    following = text[dot.end() : dot.end() + 3].lstrip()[:1]
    if word.group("number"):
        return following.isdigit()
    return bool(word.group("always")) or following.islower()


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
