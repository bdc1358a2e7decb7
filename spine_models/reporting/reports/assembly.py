"""The sentences of one report: the template's alone, or a model's with what the template adds.

Belongs here: the order of sentences, and which claims the written ones leave unsaid. Does not belong here: matching
(``linking``), choosing statements (``graph``), tables (``drafting``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from spine_models.corpus.labels.rules.levels import level_rank
from spine_models.corpus.statements import Unit
from spine_models.reporting.reports.claims import Claim
from spine_models.reporting.reports.graph import (
    IMPRESSION,
    Kind,
    Said,
    Statement,
    findings_of,
    impression_of,
)
from spine_models.reporting.reports.linking import LEVEL_LINE, Matched
from spine_models.reporting.reports.phrasing import level_words, say
from spine_models.reporting.reports.template import Template

TEMPLATE: Final = "template"
MATCHED: Final = "matched"
ADDED: Final = "added"
_DENIALS: Final = frozenset({"negative"})


@dataclass(frozen=True)
class Sentence:
    """One sentence of a report.

    Attributes:
        section: its heading.
        kind: what it does.
        text: one line, ends with a full stop.
        said: claims that it rests on, with the units that it says of each.
        linked_by: template; matched (a model's); added (the template's, beside a model's).
        level: of a line of one level.
        earlier: claims of an earlier study that it compares with.
    """

    section: str
    kind: Kind
    text: str
    said: tuple[Said, ...] = ()
    linked_by: str = TEMPLATE
    level: str | None = None
    earlier: tuple[Claim, ...] = ()

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The claims that it rests on, each once."""
        return tuple(dict.fromkeys(said.claim for said in self.said))


def spoken(statements: Iterable[Statement], template: Template, linked_by: str = TEMPLATE) -> list[Sentence]:
    """Statements in the words of the template."""
    return [_spoken(statement, template, linked_by) for statement in statements]


def from_template(claims: Sequence[Claim], template: Template) -> list[Sentence]:
    """Findings, limitations and impression by the template alone."""
    return spoken([*findings_of(claims, template), *impression_of(claims, template)], template)


def from_written(matched: Sequence[Matched], claims: Sequence[Claim], template: Template) -> list[Sentence]:
    """A model's sentences in the order of the template's sections, and after them what they leave unsaid.

    Findings and impression are each complete by themselves: a claim that is said in full in only one of them is added
    to the other. Where a section has lines of single levels, sentences without a level stand before them: a reader
    would take them to be about the level above.
    """
    homes = {c: section.title for section in template.layout.sections for c in section.conditions}
    found = [one for one in matched if not one.concludes]
    exact = {unit for one in found for unit in one.exact}
    denied = {said.claim for one in found for said in one.said if not said.units}
    sentences: list[Sentence] = []
    statements = findings_of(claims, template)
    for title in dict.fromkeys(statement.section for statement in statements):
        own = [one for one in found if homes[one.said[0].claim.condition] == title]
        added = spoken(_unsaid(statements, title, exact, denied), template, ADDED)
        free = [one for one in added if not one.claims]
        rest = [one for one in added if one.claims and one.level is None]
        lines = [one for one in added if one.level is not None]
        last = [one for one in own if _levels(one) and (lines or LEVEL_LINE.match(one.text))]
        first = [one for one in own if one not in last]
        lined = [*_kept(last, title, alone=True), *lines]
        sentences += free + sorted([*_kept(first, title), *rest], key=_turn)
        sentences += [one for one in lined if one.level is None]
        sentences += sorted((one for one in lined if one.level), key=lambda one: level_rank(one.level or ""))
    concluded = [one for one in matched if one.concludes]
    exact = {unit for one in concluded for unit in one.exact}
    denied = {said.claim for one in concluded for said in one.said if not said.units}
    sentences += _kept(concluded, IMPRESSION)
    sentences += spoken(_unsaid(impression_of(claims, template), IMPRESSION, exact, denied), template, ADDED)
    return sentences


def _unsaid(
    statements: Iterable[Statement], title: str, exact: set[Unit], denied: set[Claim]
) -> list[Statement]:
    """The template's statements of one section without what the model has said in full."""
    left = []
    for statement in statements:
        if statement.section != title:
            continue
        units = [unit for said in statement.said for unit in said.units]
        if units and exact.issuperset(units):
            continue
        if statement.frame in _DENIALS:
            said = tuple(said for said in statement.said if said.claim not in denied)
            if not said:
                continue
            statement = replace(statement, said=said)
        left.append(statement)
    return left


def _turn(one: Sentence) -> tuple[bool, bool]:
    """Findings before what is denied or open; of them those without a level first, lest they are read with one."""
    return one.kind != Kind.FINDING, any(unit.level for said in one.said for unit in said.units)


def _levels(one: Matched) -> set[str]:
    return {unit.level for said in one.said for unit in said.units if unit.level}


def _kept(matched: Iterable[Matched], title: str, *, alone: bool = False) -> list[Sentence]:
    """A model's sentences; with ``alone`` those about one level are lines of that level."""
    return [
        Sentence(
            title,
            one.kind,
            one.text,
            one.said,
            MATCHED,
            next(iter(_levels(one))) if alone and len(_levels(one)) == 1 else None,
        )
        for one in matched
    ]


def _spoken(statement: Statement, template: Template, linked_by: str) -> Sentence:
    if statement.level is not None:
        statement = replace(statement, facts=statement.facts | {"level": level_words(statement.level)})
    # What names no claim says nothing of the patient's findings, whoever wrote the rest.
    origin = linked_by if statement.said else TEMPLATE
    return Sentence(
        statement.section,
        statement.kind,
        say(statement, template),
        statement.said,
        origin,
        statement.level,
        statement.earlier,
    )
