"""What the readings amount to: how scores are spread, how much was rewritten, how far readers agree.

Agreement is on the degree of discrepancy, 1 to 4. Cohen's kappa of two readers is weighted by the squared distance
(Cohen 1968, Psychol Bull 70:213); Krippendorff's alpha with the ordinal distance (Krippendorff 2004, Content Analysis,
ch. 11) takes any number of readers, of whom each has read some of the drafts. Intervals: Wilson for shares, which takes
the readings of one draft as independent where all readers stand together; bootstrap over drafts for means and
agreement.

Only readings of drafts that are still there count; the others are told apart as their own number.

Belongs here: the table of all readings together. Does not belong here: single readings (``readers``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
import polars as pl

from spine_models.corpus.labels.panel.counting import wilson
from spine_models.findings.probes.bootstrap import interval_of
from spine_models.reporting.scores.readers import SCORES
from spine_models.reporting.scores.tables import RADPEER

ALL: Final = "all"
DEGREES: Final = (1, 2, 3, 4)
NO_READINGS: Final = "no reader has scored a draft that is still there"
NO_CORRECTION: Final = "no corrected text with this score"
NO_PAIR: Final = "no draft was read by two readers"
ONE_DEGREE: Final = "all scores are the same: agreement beyond chance is not defined"


def radpeer(readings: pl.DataFrame, *, bootstrap: int, seed: int) -> pl.DataFrame:
    """``RADPEER`` of ``READERS``.

    Args:
        readings: ``READERS``.
        bootstrap: replicates of the intervals.
        seed: of the replicates.
    """
    rows: list[dict[str, Any]] = []
    for status in ("read", "unknown_draft", "other_study"):
        count = readings.filter(status=status).height
        row = {"measure": "readings", "reader": ALL, "score": status, "status": "evaluated"}
        rows.append(row | {"n": count, "value": float(count)})
    read = readings.filter(status="read")
    if read.is_empty():
        rows += [
            {"measure": measure, "reader": ALL, "status": "not_evaluable", "reason": NO_READINGS, "n": 0}
            for measure in ("share", "significant", "edit_distance", "alpha")
        ]
        return pl.DataFrame(rows, schema=RADPEER)
    readers = read["reader"].unique().sort().to_list()
    for reader in (ALL, *readers):
        own = read if reader == ALL else read.filter(reader=reader)
        rows += _shares(reader, own)
        rows += _edits(reader, own, bootstrap, seed)
    rows.append({"measure": "alpha", "reader": ALL} | _agreement(read, alpha_ordinal, bootstrap, seed))
    for first, second in combinations(readers, 2):
        pair = read.filter(pl.col("reader").is_in([first, second]))
        row = {"measure": "kappa", "reader": first, "other": second}
        rows.append(row | _agreement(pair, _kappa_of_units, bootstrap, seed))
    return pl.DataFrame(rows, schema=RADPEER)


def weighted_kappa(table: np.ndarray) -> float:
    """Cohen's kappa with squared weights of a square table of counts; NaN where chance leaves nothing to disagree on.

    ``1 - sum(d o) / sum(d e)``: ``d`` the squared distance of two degrees, ``o`` the counts, ``e`` those that
    independent readers with these margins would have.
    """
    counts = np.asarray(table, dtype=np.float64)
    degrees = np.arange(len(counts))
    distance = (degrees[:, None] - degrees[None]) ** 2
    total = counts.sum()
    if total == 0:
        return float("nan")
    expected = (distance * np.outer(counts.sum(axis=1), counts.sum(axis=0))).sum() / total
    return float(1 - (distance * counts).sum() / expected) if expected > 0 else float("nan")


def alpha_ordinal(units: Sequence[Sequence[int]]) -> float:
    """Krippendorff's alpha with the ordinal distance; NaN where all values are equal or no unit has two.

    Args:
        units: for each draft the degrees (1 to 4) that its readers gave; those with one are not pairable.
    """
    size = len(DEGREES)
    coincidences = np.zeros((size, size))
    for values in units:
        if len(values) < 2:
            continue
        counts = np.bincount([DEGREES.index(value) for value in values], minlength=size).astype(np.float64)
        pairs = np.outer(counts, counts) - np.diag(counts)
        coincidences += pairs / (len(values) - 1)
    margins = coincidences.sum(axis=1)
    total = margins.sum()
    if total < 2:
        return float("nan")
    running = np.cumsum(margins)
    # Ordinal distance: the values between two degrees, with half of those at either end.
    between = np.abs((running - margins / 2)[:, None] - (running - margins / 2)[None])
    distance = between**2
    expected = (distance * np.outer(margins, margins)).sum() / (total - 1)
    return float(1 - (distance * coincidences).sum() / expected) if expected > 0 else float("nan")


def _shares(reader: str, read: pl.DataFrame) -> list[dict[str, Any]]:
    n = read.height
    hits = {("share", score): read.filter(score=score).height for score in SCORES}
    hits["significant", None] = read.filter(pl.col("significant")).height
    rows = []
    for (measure, score), count in hits.items():
        low, high = wilson(count, n)
        row = {"measure": measure, "reader": reader, "score": score, "status": "evaluated", "n": n}
        rows.append(row | {"value": count / n, "low": low, "high": high})
    return rows


def _edits(reader: str, read: pl.DataFrame, bootstrap: int, seed: int) -> list[dict[str, Any]]:
    """Mean share of words changed, for every score and for all."""
    rows = []
    for score in (*SCORES, None):
        scored = read if score is None else read.filter(score=score)
        own = scored.filter(pl.col("edit_distance").is_not_null()).sort("draft_key", "reader")
        row = {"measure": "edit_distance", "reader": reader, "score": score, "n": own.height}
        if own.is_empty():
            rows.append(row | {"status": "not_evaluable", "reason": NO_CORRECTION})
            continue
        parts = own.partition_by("draft_key", maintain_order=True)
        by_draft = [part["edit_distance"].to_list() for part in parts]

        def mean(units: Sequence[Sequence[float]]) -> float:
            return float(np.mean([value for unit in units for value in unit]))

        rows.append(row | {"status": "evaluated"} | _replicated(by_draft, mean, bootstrap, seed))
    return rows


def _agreement(read: pl.DataFrame, measure: Any, bootstrap: int, seed: int) -> dict[str, Any]:
    """Of the drafts that two or more read; a kappa's readers stand in the order of their names."""
    ordered = read.sort("draft_key", "reader")
    units = [part["discrepancy"].to_list() for part in ordered.partition_by("draft_key", maintain_order=True)]
    units = [values for values in units if len(values) > 1]
    if not units:
        return {"status": "not_evaluable", "reason": NO_PAIR, "n": 0}
    if np.isnan(measure(units)):
        return {"status": "not_evaluable", "reason": ONE_DEGREE, "n": len(units)}
    return {"status": "evaluated", "n": len(units)} | _replicated(units, measure, bootstrap, seed)


def _kappa_of_units(units: Sequence[Sequence[int]]) -> float:
    table = np.zeros((len(DEGREES), len(DEGREES)))
    for one, other in units:
        table[DEGREES.index(one), DEGREES.index(other)] += 1
    return weighted_kappa(table)


def _replicated(units: Sequence[Any], measure: Any, bootstrap: int, seed: int) -> Mapping[str, float | None]:
    """Value and interval; one draft alone has no interval."""
    value = measure(units)
    if len(units) < 2:
        return {"value": value, "low": None, "high": None}
    rng = np.random.default_rng([seed, 3])
    drawn = rng.integers(0, len(units), size=(bootstrap, len(units)))
    held = interval_of(value, np.array([measure([units[i] for i in row]) for row in drawn]))
    low, high = (None if np.isnan(edge) else edge for edge in (held.low, held.high))
    return {"value": value, "low": low, "high": high}
