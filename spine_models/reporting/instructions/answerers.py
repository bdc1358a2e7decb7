"""Who answers the benchmark without being a language model: the agents, and what is most frequent in training.

Belongs here: an option, or none, for every choice, and units for every report. Does not belong here: scores
(``scoring``), the agents (``reporting.agents``). An answerer reads questions and options, never what is right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from spine_models.corpus.statements import Unit, merged, units_of_claims
from spine_models.domain import Region, Severity, Side, condition_keys
from spine_models.reporting.instructions.cases import Case
from spine_models.reporting.instructions.reading import places_in
from spine_models.reporting.instructions.wording import words

AGENTS: Final = "agents"
PRIOR: Final = "prior"
Row = Mapping[str, Any]


def canonical(dimension: str, option: str, region: Region) -> str | None:
    """The canonical name that an option's words stand for; None where they stand for none."""
    known, said = words(), option.casefold()
    if dimension == "condition":
        names = {known.topic(key, region).casefold(): key for key in condition_keys()}
        return names.get(said)
    if dimension == "side":
        return next((side.value for side in Side if known.side(side).casefold() == said), None)
    if dimension == "severity":
        return next((s.value for s in Severity if s.value == said), None)
    return option


def agents_choose(
    benchmark: pl.DataFrame, claims: pl.DataFrame, levels: pl.DataFrame | None = None
) -> dict[str, int | None]:
    """What the agents choose: item key to 0-based option, None where none speaks to it.

    Where the localization agents judged the study's levels, the option that is most probable at the places that the
    question leaves open: a choice is forced, so what would not be named in a draft counts too. Elsewhere the claims: of
    conditions the most probable one, of a place that of the claim's best place. Which sequence to look at next no agent
    says.

    Args:
        benchmark: ``BENCHMARK``.
        claims: ``agents.CLAIMS`` of its studies, with probability and ``places``.
        levels: study_key, condition, level, side and probability of every judged level of its studies, by heads that
            never saw them; or None.
    """
    judged: dict[str, dict[str, list[Judged]]] = defaultdict(lambda: defaultdict(list))
    if levels is not None:
        columns = levels.select("study_key", "condition", "level", "side", "probability")
        for study, condition, *place in columns.iter_rows():
            judged[study][condition].append(tuple(place))
    of: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in claims.iter_rows(named=True):
        of[row["study_key"]][row["condition"]] = row
    choices = benchmark.filter(kind="choice").iter_rows(named=True)
    return {
        item["item_key"]: _agents(item, of.get(item["study_key"], {}), judged.get(item["study_key"], {}))
        for item in choices
    }


Judged = tuple[str, str | None, float]
"""Level, side and probability of a place."""


def _by_level(item: Row, named: Sequence[str | None], judged: Mapping[str, Sequence[Judged]]) -> int | None:
    """The option that is most probable at the places that the question leaves open; the first of equals."""
    question, dimension = places_in(item["question"]), item["dimension"]
    chances: list[tuple[float, int]] = []
    for number, option in enumerate(named):
        if option is None or dimension not in ("condition", "level", "side"):
            continue
        condition = option if dimension == "condition" else item["condition"]
        levels = [option] if dimension == "level" else question.levels
        sides = [option] if dimension == "side" else question.sides
        if Side.BILATERAL in sides:
            sides = [Side.LEFT.value, Side.RIGHT.value]
        own = [
            (side, chance)
            for level, side, chance in judged.get(condition, ())
            if (not levels or level in levels) and (not sides or side is None or side in sides)
        ]
        # Both sides are as probable as the less probable of them.
        parts = (
            [[c for s, c in own if s == side] for side in sides] if len(sides) > 1 else [[c for _, c in own]]
        )
        if all(parts):
            chances.append((min(max(part) for part in parts), -number))
    return -max(chances)[1] if chances else None


def _agents(item: Row, claims: Mapping[str, Row], judged: Mapping[str, Sequence[Judged]]) -> int | None:
    named = [canonical(item["dimension"], option, Region(item["region"])) for option in item["options"]]
    if (seen := _by_level(item, named, judged)) is not None:
        return seen
    if item["dimension"] == "condition":
        told = [(claims.get(key or "") or {}).get("probability") for key in named]
        sure = [(p, -number) for number, p in enumerate(told) if p is not None]
        return -max(sure)[1] if sure else None
    if item["dimension"] == "next_sequence":
        return None
    question = places_in(item["question"])
    for place in (claims.get(item["condition"]) or {}).get("places") or ():
        asked_of = all(
            place[name] is None or not told or place[name] in told
            for name, told in (
                ("level", question.levels),
                ("side", question.sides),
                ("severity", question.severities),
            )
        )
        value = place[item["dimension"]]
        if asked_of and value in named:
            return named.index(value)
    return None


def prior_chooses(benchmark: pl.DataFrame, items: pl.DataFrame) -> dict[str, int | None]:
    """What is most frequent among train items chooses: of the same condition first, then of all.

    Args:
        benchmark: ``BENCHMARK``.
        items: ``ITEMS`` of train patients.
    """
    counts: dict[tuple[str, str | None], Counter[str | None]] = defaultdict(Counter)
    known = items.unique("item_key", maintain_order=True)
    for row in known.filter(pl.col("status") == "present").iter_rows(named=True):
        if row["kind"] == "short" and row["dimension"] == "condition":
            counts["condition", None][row["condition"]] += 1
        if row["kind"] == "short" and row["dimension"] in ("level", "side", "severity"):
            for condition in (row["condition"], None):
                counts[row["dimension"], condition][row[row["dimension"]]] += 1
    for row in known.filter(kind="long", dimension="next_sequence").iter_rows(named=True):
        for condition in (row["condition"], None):
            counts["next_sequence", condition][words().sequence(row["sequence"]).casefold()] += 1
    return {
        item["item_key"]: _most_frequent(item, counts)
        for item in benchmark.filter(kind="choice").iter_rows(named=True)
    }


def _most_frequent(item: Row, counts: Mapping[tuple[str, str | None], Counter[str | None]]) -> int | None:
    dimension, region = item["dimension"], Region(item["region"])
    named = [canonical(dimension, option, region) for option in item["options"]]
    if dimension == "next_sequence":
        named = [option.casefold() for option in item["options"]]
    own = counts.get((dimension, None if dimension == "condition" else item["condition"]), Counter())
    all_ = counts.get((dimension, None), Counter())
    best = max(range(len(named)), key=lambda n: (own[named[n]], all_[named[n]], -n))
    return best if all_[named[best]] else None


def agents_report(claims: pl.DataFrame) -> dict[str, list[Unit]]:
    """Study key to the units that the agents affirm."""
    return {
        str(study): units_of_claims(own.iter_rows(named=True))
        for (study,), own in claims.group_by("study_key")
    }


def prior_report(train: Mapping[str, Case], studies: Sequence[str]) -> dict[str, list[Unit]]:
    """The same report for every study: as many of the most frequent statements as a train report has in the middle."""
    said = Counter(
        Unit(u.condition, u.level, u.side) for case in train.values() for u in case.reference.units
    )
    sizes = sorted(len(case.reference.units) for case in train.values())
    number = sizes[len(sizes) // 2] if sizes else 0
    chosen = merged(unit for unit, _ in sorted(said.items(), key=lambda e: (-e[1], e[0].order))[:number])
    return dict.fromkeys(studies, chosen)
