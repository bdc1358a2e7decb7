"""From a statement to its sentence, by filling the template's frame.

Belongs here: words for probabilities, places and lists. Does not belong here: choosing what is said; a
sentence has no other source than the statement's own claims and facts.
"""

from __future__ import annotations

from spine_models.reporting.reports.graph import Claim, Statement, joined
from spine_models.reporting.reports.template import Template


def say(statement: Statement, template: Template) -> str:
    """The sentence of ``statement`` in the words of ``template``; one line, ends with a full stop."""
    frames = template.language.frames
    name, claims, facts = statement.frame, statement.claims, statement.facts
    if name in ("present", "impression_present"):
        (claim,) = claims
        noun = template.findings[claim.condition]
        place = place_of(claim.level, claim.side, claim.severity)
        name = f"{name}_at" if place else name
        facts = {"Findings": capitalised(noun), "probability": percent(claim.probability), "place": place}
    elif name == "impression_none":
        facts = {"count": str(len(claims))}
    elif claims and name not in ("verbatim", "whole_study", "impression_nothing"):
        shown = name not in ("not_assessed", "impression_not_assessed")
        nouns = [_mention(claim, template, shown) for claim in claims]
        listed = joined(nouns, "or" if name == "negative" else "and")
        facts = {**facts, "findings": listed, "Findings": capitalised(listed)}
    return getattr(frames, name).format(**facts)


def percent(probability: float | None) -> str:
    """A probability with two decimals; the ends are written as bounds, so that nothing reads as certain."""
    if probability is None:
        raise ValueError("a claim that was assessed has no probability: run agents/claims again")
    if probability < 0.005:
        return "<0.01"
    return ">0.99" if probability > 0.995 else f"{probability:.2f}"


def place_of(level: str | None, side: str | None, severity: str | None) -> str:
    """Level, side and severity as far as a claim has them, else an empty string."""
    return ", ".join(word for word in (level, side, severity) if word)


def capitalised(text: str) -> str:
    """``text`` with its first letter in upper case and the rest left alone."""
    return text[:1].upper() + text[1:]


def _mention(claim: Claim, template: Template, shown: bool) -> str:
    """The finding with what a list must not lose: its place, and its probability where there is one."""
    known = (place_of(claim.level, claim.side, claim.severity), percent(claim.probability) if shown else "")
    remark = "; ".join(word for word in known if word)
    noun = template.findings[claim.condition]
    return f"{noun} ({remark})" if remark else noun
