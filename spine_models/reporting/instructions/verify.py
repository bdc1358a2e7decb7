"""Third stage: every item is held against the labels, its passage and its own words, whoever wrote it.

A row is checked as it stands in the table, together with the case that the labels and the report make, so that what a
model wrote, what a template wrote and what somebody changed are read with the same eyes. Nothing is corrected here.

Belongs here: the reasons for which an item is refused. Does not belong here: writing (``revise``, ``writer``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from spine_models.corpus.labels import read_report
from spine_models.corpus.statements import Unit, merged, units_of_text
from spine_models.domain import Status
from spine_models.reporting.instructions.cases import Case
from spine_models.reporting.instructions.reading import COMPARED, Places, is_private, places_in, says_yes
from spine_models.reporting.instructions.sequences import advice
from spine_models.reporting.instructions.wording import words

Item = Mapping[str, Any]


class Refusal(StrEnum):
    """Why an item is not used."""

    UNKNOWN_STUDY = "study_not_known"
    EVIDENCE = "evidence_not_in_report"
    EVIDENCE_SILENT = "evidence_does_not_say_it"
    LABEL = "labels_say_otherwise"
    CONTRADICTED = "report_contradicts_itself"
    PLACE = "place_not_in_labels"
    ANSWER = "answer_does_not_match"
    QUESTION = "question_does_not_match"
    LEAK = "question_gives_the_answer"
    OTHER_FINDING = "names_another_finding"
    OPTIONS = "options_are_not_sound"
    PRIVATE = "date_or_name_in_text"
    COMPARISON = "compares_without_prior"
    SEQUENCE = "sequence_not_by_rule"
    UNITS = "report_differs_from_labels"
    SHAPE = "turns_do_not_match_what_is_asked"
    DUPLICATE = "every_wording_is_taken"
    HELD_OUT = "report_like_a_held_out_one"
    NO_REPORT = "no_report_without_comparison"


_SOURCE: Final = re.compile(
    r"\b(?:report|passage|radiologist|quote)s? (?:says?|states?|mentions?|notes?|writes?)\b", re.I
)
_PLACED: Final = ("level", "side", "severity")


def verify(item: Item, case: Case | None) -> Refusal | None:
    """Why an item must not be used; None where everything holds.

    Args:
        item: a row of ``ITEMS``.
        case: of its study; None where there is none.
    """
    if case is None or (item["patient_key"], item["study_key"]) != (case.patient_key, case.study_key):
        return Refusal.UNKNOWN_STUDY
    if (refused := _evidence(item, case)) is not None:
        return refused
    turns = item["turns"] or []
    if (
        not turns
        or len(turns) != len(item["asks"])
        or any(not t["question"] or not t["answer"] for t in turns)
    ):
        return Refusal.SHAPE
    said = [part for turn in turns for part in (turn["question"], turn["answer"])]
    if any(is_private(part) for part in said):
        return Refusal.PRIVATE
    if item["kind"] == "report":
        return _report(item, case)
    if any(COMPARED.search(part) for part in said):
        return Refusal.COMPARISON
    if any(_SOURCE.search(part) for part in said):
        return Refusal.QUESTION
    return _labels(item, case) or _words(item, case) or _choice(item, case)


def _evidence(item: Item, case: Case) -> Refusal | None:
    text = case.texts.get(item["report_key"] or "", "")
    start, end = item["evidence_start"], item["evidence_end"]
    if not item["evidence"] or start is None or text[start:end] != item["evidence"]:
        return Refusal.EVIDENCE
    if item["kind"] == "report":
        return None
    # The passage must be one that the labels rest on, for this condition and with this status.
    quotes = case.quotes.get(item["condition"], ())
    if (item["report_key"], start, end, item["status"]) not in quotes:
        return Refusal.EVIDENCE_SILENT
    named = places_in(item["evidence"])
    if item["level"] is not None and not named.has_level(item["level"], item["condition"]):
        return Refusal.EVIDENCE_SILENT
    if item["side"] is not None and not _side_named(item["side"], named):
        return Refusal.EVIDENCE_SILENT
    if item["severity"] is not None and item["severity"] not in named.severities:
        return Refusal.EVIDENCE_SILENT
    return None


def _side_named(side: str, named: Places) -> bool:
    return named.has_side(side) or (side == "bilateral" and {"left", "right"} <= named.sides)


def _labels(item: Item, case: Case) -> Refusal | None:
    condition, status = item["condition"], item["status"]
    told, label = case.labels.get(condition, (None, None))
    if told != status:
        return Refusal.LABEL
    if condition in case.contradicted:
        return Refusal.CONTRADICTED
    if item["dimension"] == "next_sequence":
        given = advice(condition, case.region, case.sequences)
        doubtful = status == Status.AMBIGUOUS and label == -1
        return (
            None
            if doubtful and given is not None and given.sequence == item["sequence"]
            else Refusal.SEQUENCE
        )
    if status == Status.ABSENT:
        placed = any(item[name] is not None for name in _PLACED)
        return Refusal.LABEL if label != 0 or placed or case.places.get(condition) else None
    if status != Status.PRESENT or label != 1:
        return Refusal.LABEL
    units = case.units(condition)
    sides = ("left", "right") if item["side"] == "bilateral" else (item["side"],)
    holds = all(any(_is_of(item, side, unit) for unit in units) for side in sides)
    if not holds and item["side"] == "bilateral":
        holds = any(_is_of(item, "bilateral", unit) for unit in units)
    return None if holds else Refusal.PLACE


def _is_of(item: Item, side: str | None, unit: Unit) -> bool:
    pairs = ((item["level"], unit.level), (side, unit.side), (item["severity"], unit.severity))
    return unit.certainty != "possible" and all(own is None or own == told for own, told in pairs)


def _words(item: Item, case: Case) -> Refusal | None:
    """Whether questions and answers speak of this finding at this place, and of no other."""
    doubt = item["dimension"] == "next_sequence"
    for number, (ask, turn) in enumerate(zip(item["asks"], item["turns"], strict=True)):
        question = item["question"] if number == 0 else turn["question"]
        answer = item["answer"] if item["kind"] == "choice" else turn["answer"]
        if number == 0 and not turn["question"].startswith(question):
            return Refusal.SHAPE
        if ask == "choice_condition":
            # The options name other findings; the question must name none.
            if _conditions(question) or _placed(places_in(question), item["condition"]):
                return Refusal.QUESTION
            continue
        named = _conditions(question) | (frozenset() if doubt else _conditions(answer))
        if named - {item["condition"]}:
            return Refusal.OTHER_FINDING
        asked = words().topic(item["condition"], case.region).casefold()
        if number == 0 and asked not in question.casefold() and item["condition"] not in named:
            return Refusal.QUESTION
        if (refused := _question(question, ask, item)) is not None:
            return refused
        if not _answers(ask, answer, item):
            return Refusal.ANSWER
    return None


@lru_cache(maxsize=16_384)
def _conditions(text: str) -> frozenset[str]:
    return frozenset(mention.condition for mention in read_report(text))


def _question(question: str, ask: str, item: Item) -> Refusal | None:
    named = places_in(question)
    if ask == "side" and item["kind"] != "choice" and named.sides == {"left", "right"}:
        named = Places(
            named.discs, named.bodies, frozenset(), named.severities
        )  # "left or right?" tells nothing
    if not _within(named, item):
        return Refusal.QUESTION
    if ask == "level" and named.levels:
        return Refusal.LEAK
    if ask == "side" and named.sides:
        return Refusal.LEAK
    if ask == "severity" and named.severities:
        return Refusal.LEAK
    return None


def _answers(ask: str, answer: str, item: Item) -> bool:
    named = places_in(answer)
    if ask == "next_sequence":
        return _names_sequence(answer, item["sequence"])
    if not _within(named, item):
        return False
    if ask == "level":
        return named.named(item["condition"]) == {item["level"]}
    if ask == "side":
        return bool(named.sides) and _side_named(item["side"], named)
    if ask == "severity":
        return named.severities == {item["severity"]}
    present = item["status"] == Status.PRESENT
    if ask == "condition":
        affirmed = {unit.condition for unit in units_of_text(answer)}
        return says_yes(answer) is present and (present or not affirmed)
    if not present:
        denied = {m.condition for m in read_report(answer) if m.status is Status.ABSENT}
        return denied == {item["condition"]} and not units_of_text(answer)
    told = Unit(item["condition"], item["level"], item["side"], item["severity"])
    return [_placed_only(u) for u in units_of_text(answer)] == [_placed_only(u) for u in merged([told])]


def _placed_only(unit: Unit) -> tuple[str | None, ...]:
    return (unit.condition, unit.level, unit.side, unit.severity)


def _within(named: Places, item: Item) -> bool:
    """Whether a text names no place or grade but the item's own."""
    if named.levels and item["level"] not in named.named(item["condition"]):
        return False
    if len(named.named(item["condition"])) > 1:
        return False
    sides = {"left", "right", "bilateral"} if item["side"] == "bilateral" else {item["side"]}
    return named.sides <= sides and named.severities <= {item["severity"]}


def _placed(named: Places, condition: str) -> bool:
    return bool(named.named(condition) or named.sides or named.severities)


def _names_sequence(answer: str, sequence: str) -> bool:
    """Whether an answer names this sequence, and names it first."""
    known, said = words(), answer.casefold()
    names = {own: known.sequence(own).casefold() for own in _all_sequences()}
    wanted = known.sequence(sequence).casefold()
    at = said.find(wanted)
    longer = {name for name in names.values() if wanted in name and name != wanted}
    return (
        at >= 0
        and not any(0 <= said.find(name) <= at for name in longer)
        and not any(0 <= said.find(name) < at for name in names.values() if name not in wanted)
    )


def _all_sequences() -> list[str]:
    contrasts = words().document["contrasts"]
    return [f"{plane} {contrast}" for plane in ("sagittal", "axial", "coronal") for contrast in contrasts]


def _choice(item: Item, case: Case) -> Refusal | None:
    if item["kind"] != "choice":
        return Refusal.OPTIONS if item["options"] or item["correct"] is not None else None
    options, correct = item["options"] or [], item["correct"]
    if len(options) < 2 or len(set(map(str.casefold, options))) < len(options) or correct is None:
        return Refusal.OPTIONS
    if not 0 <= correct < len(options) or options[correct] != item["answer"]:
        return Refusal.OPTIONS
    wrong = [option for number, option in enumerate(options) if number != correct]
    return None if _all_wrong(wrong, item, case) and _is_right(item, case) else Refusal.OPTIONS


def _is_right(item: Item, case: Case) -> bool:
    if item["dimension"] == "condition":
        return bool(item["answer"].casefold() == words().topic(item["condition"], case.region).casefold())
    return _answers(item["asks"][0], item["answer"], item)


def _all_wrong(options: Sequence[str], item: Item, case: Case) -> bool:
    """Whether the labels prove every other option wrong."""
    known, condition = words(), item["condition"]
    if item["dimension"] == "condition":
        by_name = {known.topic(key, case.region).casefold(): key for key in case.labels}
        keys = [by_name.get(option.casefold()) for option in options]
        return all(
            key is not None
            and case.labels[key][1] == 0
            and not case.places.get(key)
            and key not in case.contradicted
            for key in keys
        )
    if item["dimension"] == "next_sequence":
        given = advice(condition, case.region, case.sequences)
        poor = {known.sequence(s).casefold() for s in given.poor} if given else set()
        return all(option.casefold() in poor for option in options)
    if item["dimension"] == "level":
        taken = {level for level, _ in case.places.get(condition, ())}
        named = [places_in(option).named(condition) for option in options]
        return all(len(own) == 1 and not own & taken for own in named)
    return all(not _answers(item["dimension"], option, item) for option in options)


def _report(item: Item, case: Case) -> Refusal | None:
    """Whether a report says what the labels say, no more and no less."""
    answer = item["turns"][0]["answer"]
    if COMPARED.search(answer):
        return Refusal.COMPARISON
    if case.contradicted:
        return Refusal.CONTRADICTED
    left_out = case.reference.excluded
    said = [_placed_only(u) for u in units_of_text(answer) if u.condition not in left_out]
    told = [_placed_only(u) for u in case.reference.units if u.condition not in left_out]
    return None if said == told else Refusal.UNITS
