"""Whether a tuned model may write drafts: does its text say what it is told, and nothing else?

Measured on studies that it was not trained on, with the prompt that drafts are written with, by the labeller that
links drafts to claims as well.

Belongs here: the comparison and the verdict. Does not belong here: claims against truth (``reporting.scores``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from spine_models.config import LlavaSettings
from spine_models.corpus.statements.units import Unit, merged, units_of_text
from spine_models.reporting.agents.serialised import parse
from spine_models.reporting.llava.examples import Conditioning, ReportStudy, report_question
from spine_models.reporting.llava.model import Llava
from spine_models.reporting.llava.sequence import ContextTooLong
from spine_models.reporting.llava.tables import FITNESS


@dataclass(frozen=True)
class Fitness:
    """``table`` (tables.FITNESS) by condition and in all; ``card`` has the verdict ``fit_for_drafts``."""

    table: pl.DataFrame
    card: dict[str, Any]


def units_of_line(line: str) -> list[Unit]:
    """What a line of tokens (``agents.serialised``) affirms, folded like the units of a text."""
    return merged(
        Unit(entry.condition, place.level, place.side, place.severity, entry.certainty)
        for entry in parse(line)
        if entry.certainty is not None
        for place in entry.places or (_Nowhere,)
    )


class _Nowhere:
    """A place of which nothing is said."""

    level = side = severity = None


def says(text: Sequence[Unit], claim: Unit) -> bool:
    """Whether a text says a claim: its condition where and as bad as it is claimed, as possible where only possible."""
    return any(
        unit.condition == claim.condition
        and claim.level in (None, unit.level)
        and claim.side in (None, unit.side)
        and claim.severity in (None, unit.severity)
        and (unit.certainty == "possible") == (claim.certainty == "possible")
        for unit in text
    )


def is_claimed(claims: Sequence[Unit], unit: Unit) -> bool:
    """Whether a claim stands behind what a text says: none contradicts its place, and one has its condition."""
    return any(
        claim.condition == unit.condition
        and (None in (claim.level, unit.level) or claim.level == unit.level)
        and (None in (claim.side, unit.side) or claim.side == unit.side)
        for claim in claims
    )


def compare(pairs: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """FITNESS of lines of tokens and the texts written with them; conditions by name, all of them first."""
    studies, claims, said, added = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for line, text in pairs:
        told, found = units_of_line(line), units_of_text(text)
        studies.update({unit.condition for unit in told})
        claims.update(unit.condition for unit in told)
        said.update(unit.condition for unit in told if says(found, unit))
        added.update(unit.condition for unit in found if not is_claimed(told, unit))
    rows = [(None, len(pairs), claims.total(), said.total(), added.total())]
    rows += [(c, studies[c], claims[c], said[c], added[c]) for c in sorted({*claims, *added})]
    return pl.DataFrame(rows, schema=FITNESS, orient="row")


def verdict(table: pl.DataFrame, settings: LlavaSettings) -> dict[str, Any]:
    """What a card says: ``fit_for_drafts`` and, where it is not, the reason in words."""
    whole = table.filter(pl.col("condition").is_null()).row(0, named=True)
    claims, said, added = whole["n_claims"], whole["n_said"], whole["n_added"]
    share = said / claims if claims else 0.0
    # Of what the texts say in all: what they were told, and what they added.
    excess = added / max(1, said + added)
    reason = None
    if claims < settings.min_fit_claims:
        reason = (
            f"on held-out studies there were {claims} claims to be said, {settings.min_fit_claims} are asked for "
            "before the report model's text may stand in a draft"
        )
    elif share < settings.fit_share or excess > settings.fit_added:
        reason = (
            f"on held-out studies the report model said {share:.0%} of the claims that it was told ("
            f"{settings.fit_share:.0%} are asked for), and {excess:.0%} of what it said was no claim "
            f"({settings.fit_added:.0%} is allowed)"
        )
    return {
        "fit_for_drafts": reason is None,
        "fit_reason": reason,
        "fit_claims": claims,
        "fit_said": share,
        "fit_added": excess,
    }


def measure_fitness(llava: Llava, val: Sequence[ReportStudy], settings: LlavaSettings) -> Fitness:
    """Let a tuned model write drafts of held-out studies and compare them with what it was told.

    At most ``fit_studies`` studies with images that the agents speak of, those with the most claims first, since one
    without any asks for nothing; a prompt that does not fit the context says none of its claims.
    """
    asked = sorted(
        (study for study in val if study.agents and study.images is not None),
        key=lambda study: (-len(units_of_line(study.agents)), study.study_key),
    )[: settings.fit_studies]
    prompts, fitting = [], []
    for study in asked:
        prompt = report_question(study, Conditioning.DRAFT)
        try:
            llava.encode(prompt, room=settings.max_new_tokens)
        except ContextTooLong:
            continue
        prompts.append(prompt)
        fitting.append(study)
    written = llava.generate(
        prompts,
        [study.images for study in fitting],
        settings.max_new_tokens,
        at_a_time=settings.generated_at_a_time,
    )
    texts = {study.study_key: answer.text for study, answer in zip(fitting, written, strict=True)}
    table = compare([(study.agents, texts.get(study.study_key, "")) for study in asked])
    return Fitness(table, verdict(table, settings))
