"""The rules labeller: findings of every sentence, judged, placed, and folded into one row per condition.

Belongs here: the order of the readers, what overlaps what, the choice of the mention that a label stands on. Does
not belong here: words (``lexicon.yaml``), cues (``scope``), levels, sides.

Of several mentions the worst wins: present over ambiguous over absent, wherever in findings or impression it
stands; among present ones the most severe, then the first. A study with two reports is read as one. The
confidence of a verdict is the share of the condition's mentions that say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import polars as pl

from spine_models.corpus.labels.contract import WORST, Reason, Silent, Verdict
from spine_models.corpus.labels.rules.attributes import (
    Grade,
    extends_apart,
    facet_side,
    grades,
    level_of,
    merge_sides,
    only_side,
    severity_rank,
)
from spine_models.corpus.labels.rules.ellipsis import (
    UNDONE,
    completed,
    goes_on,
    same_place,
    shares,
    shares_before,
    tells_on,
    with_antecedent,
)
from spine_models.corpus.labels.rules.exceptions import excepted
from spine_models.corpus.labels.rules.finding import Finding
from spine_models.corpus.labels.rules.levels import LevelGroup, find_levels, level_rank, region_of
from spine_models.corpus.labels.rules.lexicon import Lexicon, Phrases, lexicon
from spine_models.corpus.labels.rules.narrowing import narrowings
from spine_models.corpus.labels.rules.normals import normals, whole_level
from spine_models.corpus.labels.rules.passage import Mention, last_disc, last_place, one_more, undone
from spine_models.corpus.labels.rules.scope import NoEvidence, judge, mask
from spine_models.corpus.labels.rules.sections import Section, Sections
from spine_models.corpus.labels.rules.sentences import Sentence, elsewhere, evidence_sentences, fold
from spine_models.corpus.labels.rules.spelling import corrected
from spine_models.corpus.labels.tables import LABELS, MENTIONS
from spine_models.domain import Region, Severity, Side, Status, condition_keys

LABELLER: Final = "rules"
RULES_VERSION: Final = "rules-1.5"


_AROUND: Final = frozenset({"edema", "inflammation"})
_BY: Final = _AROUND | {"fracture", "pars", "synovial", "spondylolisthesis", "disc_height"}
"""Findings to which a sentence's one side belongs, told of one another as they are."""
_ONE_NAME: Final = re.compile(r" (?:change )?")
_OPENS: Final = re.compile(r"(?:^|[,;:] ?|[,;] and )(?:at )?(?:the )?$")


@dataclass(frozen=True)
class LabelTables:
    """``rules``: 17 rows for every study with a report; ``mentions``: every mention, levels apart."""

    rules: pl.DataFrame
    mentions: pl.DataFrame


def label_reports(reports: pl.DataFrame, *, not_mentioned: Silent = 0) -> LabelTables:
    """Label every study that has a report.

    Args:
        reports: ``deid.REPORTS``.
        not_mentioned: label of a condition on which a report is silent.

    Returns:
        ``LABELS`` with one row per study and condition, ``MENTIONS`` with one row per mention, level and side.
        Evidence is verbatim: ``report_text[evidence_start:evidence_end]``.
    """
    version = f"{RULES_VERSION}+{lexicon().digest}"
    labels: list[dict[str, Any]] = []
    mentions: list[dict[str, Any]] = []
    ordered = reports.sort("batch_key", "study_key", "report_key").iter_rows(named=True)
    for _, group in groupby(ordered, key=itemgetter("batch_key", "study_key")):
        rows = list(group)
        found = [(row, mention) for row in rows for mention in read_report(row["report_text"] or "")]
        mentions.extend(entry for row, mention in found for entry in _mention_rows(row, mention))
        labels.extend(
            verdict.row(row, LABELLER, version, not_mentioned=not_mentioned)
            for row, verdict in _verdicts(rows[0], found)
        )
    return LabelTables(pl.DataFrame(labels, schema=LABELS), pl.DataFrame(mentions, schema=MENTIONS))


def read_report(text: str) -> list[Mention]:
    """Every mention of a condition in one report, in the order of the text."""
    words = lexicon()
    folded = fold(text)
    region, sections = region_of(folded), Sections(folded)
    found: list[Mention] = []
    read: list[Sentence] = []
    previous = 0
    for sentence in evidence_sentences(text, region):
        context, before = sentence.context, read[-1] if read else None
        carried = None
        if context is None and same_place(sentence.text):
            context = last_place(read, region)
        elif before is not None and not elsewhere(sentence.text):
            if text[: sentence.start].rstrip().endswith(";"):
                carried = last_place(read[-1:], region)
            elif context is None and goes_on(sentence.text):
                carried = last_place(read[-2:], region)
            elif context is None and tells_on(sentence.text):
                carried = last_disc(read[-3:], text[: sentence.start], region)
        read.append(sentence)
        if UNDONE.match(sentence.text):
            found[previous:] = [undone(mention) for mention in found[previous:]]
        section, latest = sections.at(sentence.start), found[previous:]
        previous = len(found)
        own = list(_read_sentence(sentence, before, (context, carried), section, region, words))
        own.extend(one_more(sentence, own, latest, section, region, words))
        found.extend(own)
    return found


def _read_sentence(
    sentence: Sentence,
    before: Sentence | None,
    places: tuple[LevelGroup | None, LevelGroup | None],
    section: Section,
    region: Region | None,
    words: Lexicon,
) -> Iterator[Mention]:
    """``places``: the level that the sentence stands under, and one that holds for what is found only."""
    context, carried = places
    start, end = sentence.start, sentence.start + len(sentence.text)
    findings = _analysed(sentence.text, region)
    if not findings and (whole := completed(sentence.text, sentence.subject)) is not None:
        findings = _analysed(whole, region)
    if not findings and before is not None and (whole := with_antecedent(sentence.text, before.text)):
        findings = _analysed(whole, region)
    if not findings and sentence.context is not None and _of_discs(sentence.context):
        # A label on a line of its own, and "Normal." below it.
        findings = tuple(
            _Analysed(condition, Status.ABSENT, None, None, None)
            for condition in whole_level(sentence.text, words)
        )
    for finding in findings:
        levels, place = finding.levels, context
        if carried is not None and finding.status is not Status.ABSENT:
            place = carried
        if levels is None and place is not None:
            levels = place.names(words.of(finding.condition).level_kind)
        yield Mention(
            finding.condition,
            finding.status,
            levels or (),
            finding.side,
            finding.severity,
            section,
            start,
            end,
        )


@dataclass(frozen=True)
class _Analysed:
    condition: str
    status: Status
    levels: tuple[str, ...] | None
    side: Side | None
    severity: str | None


@lru_cache(maxsize=20_000)
def _analysed(text: str, region: Region | None) -> tuple[_Analysed, ...]:
    """What one folded sentence says. Reports repeat their sentences, hence the cache."""
    words = lexicon()
    text = corrected(text)
    healthy = normals(text, words)
    narrowed = [f for f in narrowings(text, words) if not any(_same_words(f, other) for other in healthy)]
    findings = sorted([*_lexical(text, words), *narrowed, *healthy], key=lambda f: (f.start, f.end))
    groups = find_levels(text, region)
    findings.extend(_whole_levels(text, groups, words))
    if not findings:
        return ()
    masked = mask(text)
    spans = [(f.start, f.end) for f in findings]
    analysed: list[_Analysed] = []
    inherited: dict[int, str | None] = {}
    resultant = goes_on(text)
    for finding in findings:
        status = finding.reading
        if status is not Status.ABSENT:
            judged = judge(masked, finding.judge_start, finding.judge_end)
            if isinstance(judged, NoEvidence):
                continue
            status = judged if judged is not Status.PRESENT else finding.reading
        phrases = words.of(finding.condition)
        others = [span for span in spans if span != (finding.start, finding.end)]
        group = level_of(text, finding.start, finding.end, groups, others)
        if group is not None and resultant and extends_apart(text, finding.end, group, others):
            group = None
        levels = None if group is None else group.names(phrases.level_kind)
        if status is Status.ABSENT:
            after = min((s for s, _ in others if s >= finding.end), default=len(text))
            named = finding.reading is not Status.ABSENT
            but = excepted(text, finding.condition, (finding.end, after), groups, denied=named)
            if but is None:
                analysed.append(_Analysed(finding.condition, status, levels, None, None))
            else:
                analysed.extend(_placed(phrases, Status.PRESENT, but.group, grade) for grade in but.grades)
            continue
        low = max((e for _, e in others if e <= finding.start), default=0)
        if finding.condition == "edema" and _ONE_NAME.fullmatch(text, low, finding.start):
            # "mild Modic type 1 endplate oedema": one name for two findings.
            low = max((e for _, e in others if e < low), default=0)
        high = min((s for s, _ in others if s >= finding.end), default=len(text))
        listed = shares(text, finding.end, high, groups, finding.condition)
        listed = listed or shares_before(text, low, finding.start, groups, finding.condition)
        if listed:
            for share in listed:
                first = share.group.start
                for grade in share.grades or grades(
                    text, finding.start, finding.end, low, first, finding.condition
                ):
                    analysed.append(_placed(phrases, status, share.group, grade))
            continue
        lent = finding.condition in _AROUND and all(f.condition in _BY for f in findings)
        for grade in grades(text, finding.start, finding.end, low, high, finding.condition):
            own = _placed(phrases, status, group, grade)
            if own.side is None and finding.condition == "synovial":
                own = replace(own, side=facet_side(text))
            if own.side is None and lent:
                own = replace(own, side=only_side(text))
            if finding.chain is not None:
                own = replace(own, severity=own.severity or inherited.get(finding.chain))
                inherited[finding.chain] = own.severity
            analysed.append(own)
    return tuple(dict.fromkeys(analysed))


def _whole_levels(text: str, groups: list[LevelGroup], words: Lexicon) -> Iterator[Finding]:
    """ "L2-3 normal, L3-4 unremarkable": the first may be said of at length, one in a list up to its comma."""
    for number, group in enumerate(groups):
        if not _of_discs(group) or not _OPENS.search(text, 0, group.start):
            continue
        rest = re.sub(r"^ ?(?:level)? ?[:,.-]? ?", "", text[group.end :])
        pieces = [rest] if number == 0 else []
        for piece in (*pieces, re.split(r"[,;]", rest)[0]):
            denied = whole_level(piece, words)
            if denied:
                at = group.end
                yield from (Finding(condition, at, at, at, at, Status.ABSENT) for condition in denied)
                break


def _of_discs(group: LevelGroup) -> bool:
    """Whether a level is one of discs: of the vertebra L3 "normal" says nothing of the canal."""
    return any(span.first != span.last for span in group.spans)


def _placed(phrases: Phrases, status: Status, group: LevelGroup | None, grade: Grade) -> _Analysed:
    levels = None if group is None else group.names(phrases.level_kind)
    severity = grade.severity.value if grade.severity else None
    return _Analysed(phrases.key, status, levels, grade.side if phrases.lateral else None, severity)


def _same_words(one: Finding, other: Finding) -> bool:
    return one.condition == other.condition and one.start < other.end and other.start < one.end


def _lexical(text: str, words: Lexicon) -> Iterator[Finding]:
    for phrases in words.phrases:
        if not phrases.stems:
            yield from _of_condition(text, phrases)
            continue
        for stem in phrases.stems:
            if stem in text:
                yield from _of_condition(text, phrases)
                break


def _of_condition(text: str, phrases: Phrases) -> list[Finding]:
    found: list[Finding] = []
    excluded: list[tuple[int, int]] | None = None
    readings = [
        (phrases.present, Status.PRESENT),
        *(
            (rule.term, Status.AMBIGUOUS if rule.weak else Status.PRESENT)
            for rule in phrases.nearby
            if rule.holds(text)
        ),
        (phrases.weak, Status.AMBIGUOUS),
        (phrases.absent, Status.ABSENT),
    ]
    for pattern, reading in readings:
        if pattern is None:
            continue
        for match in pattern.finditer(text):
            if excluded is None:
                pattern_out = phrases.exclude
                excluded = [m.span() for m in pattern_out.finditer(text)] if pattern_out else []
            start, end = match.span()
            taken = [*excluded, *((f.start, f.end) for f in found)]
            if start == end or any(low < end and start < high for low, high in taken):
                continue
            found.append(Finding(phrases.key, start, end, start, end, reading))
    return found


def _mention_rows(row: dict[str, Any], mention: Mention) -> Iterable[dict[str, Any]]:
    for level in mention.levels or (None,):
        yield _identity(row) | {
            "condition": mention.condition,
            "status": mention.status.value,
            "level": level,
            "side": mention.side.value if mention.side else None,
            "severity": mention.severity,
            "section": mention.section.value,
            "evidence": row["report_text"][mention.start : mention.end],
            "evidence_start": mention.start,
            "evidence_end": mention.end,
        }


def _identity(row: dict[str, Any]) -> dict[str, Any]:
    names = ("batch_key", "patient_key", "study_key", "report_key")
    return {name: row[name] for name in names} | {"labeller": LABELLER}


def _verdicts(
    first: dict[str, Any], found: list[tuple[dict[str, Any], Mention]]
) -> Iterator[tuple[dict[str, Any], Verdict]]:
    for condition in condition_keys():
        own = [(row, mention) for row, mention in found if mention.condition == condition]
        if not own:
            yield first, Verdict(condition, Status.NOT_MENTIONED)
            continue
        worst = max((m.status for _, m in own), key=WORST.__getitem__)
        chosen = [(row, mention) for row, mention in own if mention.status is worst]
        row, top = max(chosen, key=lambda pair: severity_rank(pair[1].severity))
        places = {level for _, mention in chosen for level in mention.levels} - set(top.levels[:1])
        if condition == "pars":
            # "L5 spondylolysis", "isthmic slip at L5-S1": the pars is that of the upper vertebra.
            named = places | set(top.levels[:1])
            places = {
                level
                for level in places
                if level.partition("-")[0] == level or level.partition("-")[0] not in named
            }
        if condition == "spondylolisthesis" and "-" in "".join(top.levels[:1]):
            # "L5 spondylolysis with a slip", where the slip of L5 on S1 is told of already.
            uppers = {level.partition("-")[0] for level in {*places, *top.levels[:1]} if "-" in level}
            places -= uppers
        same_place = [m for _, m in chosen if m.levels == top.levels]
        yield (
            row,
            Verdict(
                condition,
                worst,
                levels=(*top.levels[:1], *sorted(places, key=level_rank)),
                side=merge_sides({m.side for m in same_place if m.side is not None}),
                severity=Severity(top.severity) if top.severity else None,
                start=top.start,
                end=top.end,
                confidence=len(chosen) / len(own),
                reason=Reason.HEDGED if worst is Status.AMBIGUOUS else None,
            ),
        )
