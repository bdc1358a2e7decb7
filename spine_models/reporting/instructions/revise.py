"""Second stage without a model: a draft in words, with a wording that no other item has.

The plain wording is the first template of everything; the revised one is drawn, and drawn again where its text was
taken.

Belongs here: filling templates, controlled variation. Does not belong here: templates (``words.yaml``), what is asked
(``drafting``), a model's words (``writer``).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spine_models.domain import Status
from spine_models.reporting.instructions.alike import normal
from spine_models.reporting.instructions.drafting import Draft
from spine_models.reporting.instructions.report import body_of
from spine_models.reporting.instructions.wording import capitalised, filled, words

_MOST_TRIES: Final = 400


@dataclass(frozen=True)
class Worded:
    """An item's words.

    Attributes:
        turns: (question, answer); of a choice the question without its options, and the right option.
        template: of the first question; None where a model wrote.
    """

    turns: tuple[tuple[str, str], ...]
    template: str | None

    @property
    def text(self) -> str:
        """All of it, for comparison with others."""
        return " ".join(part for turn in self.turns for part in turn)


def plain(draft: Draft, part: str) -> Worded | None:
    """The first wording of everything; None of a report that cannot be asked for."""
    return next(_wordings(draft, part, None), None)


def revised(draft: Draft, part: str, seed: int, taken: set[str]) -> Worded | None:
    """A wording whose text is not taken; None where all of them are.

    Args:
        draft: what is asked.
        part: whose questions: train or benchmark.
        seed: of the draw.
        taken: normal forms of other items' texts, ``text_of`` each.
    """
    rng = random.Random(f"{seed}|{draft.key}")
    for worded in itertools.islice(_wordings(draft, part, rng), _MOST_TRIES):
        if text_of(draft, worded) not in taken:
            return worded
    return None


def text_of(draft: Draft, worded: Worded) -> str:
    """The normal form of an item, the same in whichever order its options stand."""
    return normal(" ".join([worded.text, *sorted(option_text(draft, o) for o in draft.options)]))


def option_text(draft: Draft, option: str) -> str:
    """An option in words."""
    known = words()
    if draft.dimension == "condition":
        return capitalised(known.topic(option, draft.case.region))
    if draft.dimension == "side":
        return capitalised(known.side(option))
    if draft.dimension == "next_sequence":
        return capitalised(known.sequence(option))
    return capitalised(option)


def statement(draft: Draft) -> str:
    """All that is known of the finding: "a probable moderate left disc herniation at L4-L5"."""
    known, finding = words(), draft.finding
    assert finding is not None
    told = known.described(finding, draft.case.region, ("level", "side", "severity"))
    told = f"probable {told}" if finding.certainty == "probable" else told
    return known.with_article(finding.condition, told)


def _wordings(draft: Draft, part: str, rng: random.Random | None) -> Iterator[Worded]:
    """All wordings, in drawn order (for ever); without a draw the first of everything."""
    known = words()
    base = _slots(draft)
    hides = draft.dimension == "next_sequence"
    first = known.questions(part, draft.asks[0])
    studies = known.studies(with_sequences=not hides)
    answers = [_answers(draft, ask) for ask in draft.asks]
    if not all(answers):
        return
    later = [known.later(ask) for ask in draft.asks[1:]]
    parts = [first, studies, *later, *answers]
    for number in itertools.count():
        if rng is None and number:
            return
        chosen = [own[0] if rng is None else rng.choice(own) for own in parts]
        template, study = chosen[0], chosen[1]
        slots = base | {"study": filled(study, base)}
        questions = [template, *chosen[2 : 2 + len(later)]]
        replies = chosen[2 + len(later) :]
        turns = tuple(
            (filled(question, slots), filled(reply, slots) if _has_slots(draft) else reply)
            for question, reply in zip(questions, replies, strict=True)
        )
        yield Worded(turns, template)


def _has_slots(draft: Draft) -> bool:
    """Whether answers are templates; reports and options are text as it is."""
    return draft.kind not in ("report", "choice")


def _answers(draft: Draft, ask: str) -> list[str]:
    known, finding = words(), draft.finding
    if draft.kind == "report":
        text = next(iter(draft.case.texts.values())) if len(draft.case.texts) == 1 else ""
        body = body_of(text)
        return [] if body is None else [body.text]
    if draft.kind == "choice":
        return [option_text(draft, draft.options[0])]
    assert finding is not None
    if ask == "condition":
        return known.answers("yes" if finding.status is Status.PRESENT else "no")
    if ask == "statement":
        return known.answers("present" if finding.status is Status.PRESENT else "absent")
    return known.answers(ask)


def _slots(draft: Draft) -> dict[str, str]:
    known, case, finding = words(), draft.case, draft.finding
    slots = {"region": known.region(case.region), "sequences": known.sequences(case)}
    if finding is None:
        return slots
    topic = known.topic(finding.condition, case.region)
    named = known.described(finding, case.region, draft.told)
    slots |= {
        "topic": topic,
        "a_topic": known.with_article(finding.condition, topic),
        "finding": named,
        "a_finding": known.with_article(finding.condition, named),
        "level": finding.level or "",
        "side": known.side(finding.side) if finding.side else "",
        "severity": finding.severity or "",
    }
    if finding.status is Status.PRESENT:
        slots["statement"] = statement(draft)
    if draft.sequence is not None:
        slots |= {"sequence": known.sequence(draft.sequence), "why": draft.why or ""}
    return slots
