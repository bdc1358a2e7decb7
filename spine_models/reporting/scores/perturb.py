"""Drafts that are wrong in one known way, and whether the metric says so.

A study's own units stand in as a draft that is right in everything; each perturbation then spoils one of them. A metric
that can be trusted falls every time, and the counts tell what was spoilt. One study's perturbation is applied to each
unit that it can be applied to; the additions draw what they add from a seed.

Belongs here: perturbations and the table of their effects. Does not belong here: the metric (``metric``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.corpus.statements import Reference, Unit, merged
from spine_models.domain import DISCS, DISCS_OF_REGION, VERTEBRAE, Severity, Side, condition_keys
from spine_models.reporting.scores.metric import Metric, Tally
from spine_models.reporting.scores.tables import PERTURBATIONS

Perturbed = Iterator[list[Unit]]

_OTHER_SIDE: Final = {Side.LEFT.value: Side.RIGHT.value, Side.RIGHT.value: Side.LEFT.value}
_FURTHEST: Final = 3
"""Discs or vertebrae that a finding is moved by at most: within the images of one region."""


def drop(units: Sequence[Unit], rng: np.random.Generator) -> Perturbed:
    """A finding is left out."""
    for number in range(len(units)):
        yield [*units[:number], *units[number + 1 :]]


def add(units: Sequence[Unit], rng: np.random.Generator) -> Perturbed:
    """A finding is invented: one of a condition that the study does not have, once a study."""
    there = {unit.condition for unit in units}
    others = [key for key in condition_keys() if key not in there]
    if not others:
        return
    region = next((discs for discs in DISCS_OF_REGION.values() if {u.level for u in units} & {*discs}), DISCS)
    yield merged([*units, Unit(str(rng.choice(others)), str(rng.choice(region)))])


def flip_side(units: Sequence[Unit], rng: np.random.Generator) -> Perturbed:
    """Left is told as right and right as left, where the other side is free."""

    def flipped(unit: Unit) -> list[Unit]:
        other = None if unit.side is None else _OTHER_SIDE.get(unit.side)
        return [] if other is None else [replace(unit, side=other)]

    return _each(units, flipped)


def move_level(units: Sequence[Unit], rng: np.random.Generator) -> Perturbed:
    """A finding is told one to three levels higher or lower, disc for disc and vertebra for vertebra."""

    def moved(unit: Unit) -> list[Unit]:
        if unit.level is None:
            return []
        scale = DISCS if "-" in unit.level else VERTEBRAE
        at = scale.index(unit.level)
        steps = [step for n in range(1, _FURTHEST + 1) for step in (at - n, at + n)]
        return [replace(unit, level=scale[step]) for step in steps if 0 <= step < len(scale)]

    return _each(units, moved)


def swap_severity(units: Sequence[Unit], rng: np.random.Generator) -> Perturbed:
    """A graded finding is told in each of the other grades."""

    def swapped(unit: Unit) -> list[Unit]:
        grades = [str(grade) for grade in Severity if unit.severity is not None and grade != unit.severity]
        return [replace(unit, severity=grade) for grade in grades]

    return _each(units, swapped)


def hedge(units: Sequence[Unit], rng: np.random.Generator) -> Perturbed:
    """A plain finding is told as possible."""
    return _each(units, lambda u: [replace(u, certainty="possible")] if u.certainty != "possible" else [])


PERTURBATIONS_OF: Final[Mapping[str, Callable[[Sequence[Unit], np.random.Generator], Perturbed]]] = (
    MappingProxyType(
        {
            "drop": drop,
            "add": add,
            "flip_side": flip_side,
            "move_level": move_level,
            "swap_severity": swap_severity,
            "hedge": hedge,
        }
    )
)
"""By name, in the order of the table."""

EXPECTED: Final[Mapping[str, tuple[str, Callable[[Tally, Tally], bool]]]] = MappingProxyType(
    {
        "drop": (
            "f1 and recall fall, precision stays, one omission",
            lambda a, b: (
                b.recall < a.recall and b.precision == a.precision and b.omissions == a.omissions + 1
            ),
        ),
        "add": (
            "f1 and precision fall, recall stays, one false positive",
            lambda a, b: (
                b.precision < a.precision
                and b.recall == a.recall
                and b.false_positives == a.false_positives + 1
            ),
        ),
        "flip_side": ("f1 falls, one wrong side or more", lambda a, b: b.wrong_side > a.wrong_side),
        "move_level": ("f1 falls, one wrong level or more", lambda a, b: b.wrong_level > a.wrong_level),
        "swap_severity": (
            "f1 falls, one wrong severity or more",
            lambda a, b: b.wrong_severity > a.wrong_severity,
        ),
        "hedge": (
            "f1 falls, nothing is missing or invented",
            lambda a, b: b.false_positives == b.omissions == 0,
        ),
    }
)
"""What each must do, in words and as a test of the tally before and after; ``f1`` must fall in all of them."""


def perturbations(references: Sequence[Reference], metric: Metric, *, most: int, seed: int) -> pl.DataFrame:
    """Spoil each reference in every way and see whether the metric moves the right way.

    Args:
        references: of studies, in a fixed order; those without a unit are only added to.
        metric: under test.
        most: studies, drawn with ``seed`` where there are more.
        seed: of what is drawn.

    Returns:
        ``PERTURBATIONS``, one row per kind; ``not_evaluable`` where it could be applied nowhere.
    """
    rng = np.random.default_rng([seed, 1])
    chosen = sorted(rng.permutation(len(references))[:most])
    rows = []
    for kind, perturb in PERTURBATIONS_OF.items():
        expected, holds = EXPECTED[kind]
        tried: list[tuple[Tally, Tally]] = []
        studies = 0
        for number in chosen:
            units = list(references[number].units)
            before = metric.compare(units, units)
            found = [
                (before, metric.compare(spoilt, units))
                for spoilt in perturb(units, np.random.default_rng([seed, 2, number]))
            ]
            studies += bool(found)
            tried += found
        rows.append({"kind": kind, "expected": expected, "n_studies": studies} | _row(tried, holds))
    return pl.DataFrame(rows, schema=PERTURBATIONS)


def _row(tried: Sequence[tuple[Tally, Tally]], holds: Callable[[Tally, Tally], bool]) -> dict[str, Any]:
    if not tried:
        return {
            "status": "not_evaluable",
            "reason": "no reference has what it spoils",
            "n_tried": 0,
            "n_right": 0,
        }
    right = sum(after.f1 < before.f1 and holds(before, after) for before, after in tried)

    def mean(name: str) -> float:
        return float(np.mean([getattr(after, name) - getattr(before, name) for before, after in tried]))

    return {
        "status": "evaluated",
        "n_tried": len(tried),
        "n_right": right,
        "f1_after": float(np.mean([after.f1 for _, after in tried])),
        "precision_change": mean("precision"),
        "recall_change": mean("recall"),
        "false_positives_change": mean("false_positives"),
        "omissions_change": mean("omissions"),
    }


def _each(units: Sequence[Unit], spoil: Callable[[Unit], list[Unit]]) -> Perturbed:
    """Every unit spoilt in every way that leaves as many units: what falls onto another place is no such error."""
    for number, unit in enumerate(units):
        rest = [*units[:number], *units[number + 1 :]]
        for spoilt in spoil(unit):
            found = merged([*rest, spoilt])
            if len(found) == len(units) and set(found) == {*rest, spoilt}:
                yield found
