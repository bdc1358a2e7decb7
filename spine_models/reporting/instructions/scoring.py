"""Scores of the benchmark: the share of right choices by dimension, and how far reports say what the labels say.

Belongs here: accuracy and F1 with intervals over patients. Does not belong here: answers (``answerers``, a model), the
weighed claim metric of whole reports (``reporting.scores``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.corpus.statements import Unit
from spine_models.reporting.instructions.cases import Case
from spine_models.reporting.instructions.tables import BENCHMARK_SCORES
from spine_models.reporting.instructions.wording import words

ALL: Final = "all"


def score_choices(
    benchmark: pl.DataFrame,
    chosen: Mapping[str, int | None],
    answerer: str,
    *,
    bootstrap: int,
    seed: int,
) -> pl.DataFrame:
    """Accuracy by dimension and over all; ``BENCHMARK_SCORES``.

    Args:
        benchmark: ``BENCHMARK``.
        chosen: item key to 0-based option; a missing one, None or one out of range is no answer, and not right.
        answerer: whose answers they are.
        bootstrap: replicates of the interval, over patients.
        seed: of the replicates.
    """
    choices = benchmark.filter(kind="choice")
    rows = []
    for dimension in [*choices["dimension"].unique().sort(), ALL]:
        own = choices if dimension == ALL else choices.filter(dimension=dimension)
        counts: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        answered, chance = 0, 0.0
        for item in own.iter_rows(named=True):
            answer = chosen.get(item["item_key"])
            valid = answer is not None and 0 <= answer < len(item["options"])
            answered += valid
            chance += 1 / len(item["options"])
            counts[item["patient_key"]][0] += valid and answer == item["correct"]
            counts[item["patient_key"]][1] += 1
        if own.height:
            score, low, high = _interval(list(counts.values()), _ratio, bootstrap, seed)
            shares = (own.height, len(counts), answered / own.height)
            rows.append((dimension, answerer, "accuracy", *shares, score, low, high, chance / own.height))
    return pl.DataFrame(rows, schema=BENCHMARK_SCORES, orient="row")


def score_reports(
    benchmark: pl.DataFrame,
    cases: Mapping[str, Case],
    said: Mapping[str, Sequence[Unit]],
    answerer: str,
    *,
    bootstrap: int,
    seed: int,
) -> pl.DataFrame:
    """F1 of each section's statements, by condition, level and side; ``BENCHMARK_SCORES``.

    A statement counts a third for its condition and a third each for level and side where the labels tell them, or
    more where they do not, so that what a report cannot be held to is not asked for. Conditions in doubt count nowhere.

    Args:
        benchmark: ``BENCHMARK``.
        cases: of its studies.
        said: study key to the units that a report says (``claims.units_of_text``); a missing one is no answer.
        answerer: whose reports they are.
        bootstrap: replicates of the interval, over patients.
        seed: of the replicates.
    """
    reports = benchmark.filter(kind="report").unique("study_key", maintain_order=True)
    sections = {**words().sections(), ALL: [c for own in words().sections().values() for c in own]}
    rows = []
    answered = sum(study in said for study in reports["study_key"])
    for section, conditions in sections.items():
        counts: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        for item in reports.iter_rows(named=True):
            case = cases[item["study_key"]]
            counted = set(conditions) - case.reference.excluded
            told = [unit for unit in case.reference.units if unit.condition in counted]
            ours = [unit for unit in said.get(item["study_key"], ()) if unit.condition in counted]
            for number, value in enumerate((_credit(ours, told), len(ours), len(told))):
                counts[item["patient_key"]][number] += value
        if reports.height:
            score, low, high = _interval(list(counts.values()), _f1, bootstrap, seed)
            shares = (reports.height, len(counts), answered / reports.height)
            rows.append((f"report: {section}", answerer, "f1", *shares, score, low, high, None))
    return pl.DataFrame(rows, schema=BENCHMARK_SCORES, orient="row")


def _credit(ours: Sequence[Unit], told: Sequence[Unit]) -> float:
    """Sum over pairs of one statement each, the best ones first."""
    pairs = [(_agreement(o, t), -a, -b) for a, o in enumerate(ours) for b, t in enumerate(told)]
    used: tuple[set[int], set[int]] = (set(), set())
    credit = 0.0
    for value, a, b in sorted(pairs, reverse=True):
        if value and a not in used[0] and b not in used[1]:
            used[0].add(a)
            used[1].add(b)
            credit += value
    return credit


def _agreement(ours: Unit, told: Unit) -> float:
    if ours.condition != told.condition:
        return 0.0
    asked = [(own, wanted) for own, wanted in ((ours.level, told.level), (ours.side, told.side)) if wanted]
    return (1 + sum(own == wanted for own, wanted in asked)) / (1 + len(asked))


def _ratio(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def _f1(sums: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * sums[..., 0] / (sums[..., 1] + sums[..., 2]))


def _interval(
    counts: Sequence[Sequence[float]],
    statistic: Callable[[np.ndarray], np.ndarray],
    replicates: int,
    seed: int,
) -> tuple[float | None, float | None, float | None]:
    """The statistic of the sums and its 95 % interval over patients; None where it is not defined."""
    of_patient = np.asarray(counts, dtype=float)
    value = _finite(statistic(of_patient.sum(axis=0)))
    if value is None or len(of_patient) < 2:
        return value, None, None
    rng = np.random.default_rng(seed)
    share = np.full(len(of_patient), 1 / len(of_patient))
    drawn = statistic(rng.multinomial(len(of_patient), share, size=replicates) @ of_patient)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return value, None, None
    low, high = np.percentile(drawn, [2.5, 97.5])
    return value, float(low), float(high)


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
