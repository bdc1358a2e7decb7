"""From a statement to its sentence, by filling the template's frame.

Belongs here: words for certainty, severity, side, levels and lists. Does not belong here: choosing what is said; a
sentence has no other source than the statement's own claims and facts. What is affirmed is worded so that the rules
labeller reads the same units back: one clause for all levels of one severity and side, a clause without a level
before those that have one, and every clause names its finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from spine_models.corpus.statements import Unit
from spine_models.corpus.statements.units import PAIRED
from spine_models.domain import Side
from spine_models.reporting.reports.graph import Said, Statement
from spine_models.reporting.reports.template import Template

_DEGREES: Final = ("severe", "moderate", "mild", None)


def say(statement: Statement, template: Template) -> str:
    """The sentence of ``statement`` in the words of ``template``; one line, ends with a full stop."""
    facts = dict(statement.facts)
    frame = getattr(template.language.frames, statement.frame)
    if "{clauses}" in frame:
        clauses = [clause for said in statement.said for clause in clauses_of(said, template, levels=True)]
        # Behind an opening of its own ("New: ...") a clause begins no sentence.
        facts["clauses"] = sequence(clauses) if frame.startswith("{clauses}") else "; ".join(clauses)
    if "{clauses_here}" in frame:
        clauses = [clause for said in statement.said for clause in clauses_of(said, template, levels=False)]
        facts["clauses_here"] = sequence(clauses)
    if "{findings" in frame or "{Findings" in frame:
        last = "or" if frame.startswith(("No ", "{level}: No ")) else "and"
        listed = joined([template.findings[claim.condition] for claim in statement.claims], last)
        facts |= {"findings": listed, "Findings": capitalised(listed)}
    facts.setdefault("count", str(len(statement.claims)))
    return frame.format(**facts)


def clauses_of(said: Said, template: Template, *, levels: bool) -> list[str]:
    """One clause per severity and side of what is affirmed, the worst first.

    Args:
        said: units of one claim.
        template: words.
        levels: whether the clauses name their levels; a line of one level does not.
    """
    groups: dict[tuple[str | None, str | None], list[Unit]] = {}
    for unit in _both_sides(said.units):
        groups.setdefault((unit.severity, unit.side), []).append(unit)
    noun = template.findings[said.claim.condition]
    clauses: list[tuple[tuple[object, ...], str]] = []
    for (severity, side), units in groups.items():
        # Discs and vertebrae apart: "T1-2 and T2" would be one list of levels, whichever are meant.
        for kind in (None, True, False):
            members = [unit for unit in units if (unit.level and "-" in unit.level) is kind]
            if not members:
                continue
            certainty = "" if members[0].certainty == "definite" else members[0].certainty
            words = [word for word in (certainty, severity, side, noun) if word]
            where = joined([level_words(unit.level) for unit in members if unit.level], "and")
            text = " ".join(words)
            if levels and where:
                text = f"{text} at {where}"
            order = (bool(where), _DEGREES.index(severity), members[0].order)
            clauses.append((order, text))
    return [text for _, text in sorted(clauses)]


def sequence(clauses: Sequence[str]) -> str:
    """Clauses as sentences of their own: each is then read by itself, with its own certainty; no stop at the end."""
    return ". ".join(capitalised(clause) for clause in clauses)


def level_words(level: str) -> str:
    """A level as a reader writes it: ``L4-5``, ``L5-S1``, ``C7-T1``, ``T12``."""
    upper, _, lower = level.partition("-")
    return f"{upper}-{lower[1:]}" if lower and lower[0] == upper[0] else level


def joined(words: Sequence[str], last: str) -> str:
    """``a``, ``a and b``, ``a, b and c`` with ``last`` as the final conjunction."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def percent(probability: float | None) -> str:
    """A probability with two decimals; the ends are written as bounds, so that nothing reads as certain."""
    if probability is None:
        raise ValueError("a claim that was assessed has no probability: run agents/claims again")
    if probability < 0.005:
        return "<0.01"
    return ">0.99" if probability > 0.995 else f"{probability:.2f}"


def capitalised(text: str) -> str:
    """``text`` with its first letter in upper case and the rest left alone."""
    return text[:1].upper() + text[1:]


def _both_sides(units: Sequence[Unit]) -> list[Unit]:
    """Left and right of what is paired, alike in all else, as one bilateral finding."""
    told: list[Unit] = []
    for unit in units:
        other = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}.get(Side(unit.side)) if unit.side else None
        twin = None if other is None else replace(unit, side=str(other))
        if unit.condition not in PAIRED or twin not in units:
            told.append(unit)
        elif unit.side == Side.LEFT:
            told.append(replace(unit, side=str(Side.BILATERAL)))
    return told
