"""Severity learned and proved: an ordinal fit on frozen study vectors of train patients.

The grades of a condition are cut twice: worse than mild, worse than moderate. Each cut is an L2-penalised logistic
head on the study vectors of T1 and T2 (Frank and Hall, "A simple approach to ordinal classification", 2001), strength
and calibration from held-out patients as in the probes (``findings.probes.crossfit``). A study's grade is the number
of cuts that it exceeds with more than their base rate, so that rare grades are said as often as they occur.

Reports grade the worst place of a study, so this is what is learned and said. A condition is graded only where the
balanced accuracy out of fold, by patient, beats chance with the whole of its 95 % interval; else it has no severity.

Routes of a synthesizer are not read: its training saw the train reports, and these words are in them.

Belongs here: fit and proof. Does not belong here: files and grades of new studies (``grading``), whether a condition
is there (``findings.probes``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from spine_models.config.reporting.agents import GradingSettings
from spine_models.domain import Severity, Split, condition_keys
from spine_models.findings.probes.crossfit import LinearHeads, crossfit
from spine_models.findings.probes.folds import patient_folds
from spine_models.findings.probes.scores import INTERVAL, patient_draws
from spine_models.findings.probes.studies import model_versions, preprocessing_versions, set_vectors
from spine_models.reporting.agents.examination import READ_ROUTES
from spine_models.reporting.agents.grading import Cuts, save_grading
from spine_models.reporting.agents.tables import GRADINGS

GRADES: Final = tuple(severity.value for severity in Severity)
"""From mild to severe."""
USED, NOT_USED = "used", "not_used"


class FittedGrading(NamedTuple):
    """The card as written, and ``GRADINGS``."""

    card: dict[str, Any]
    table: pl.DataFrame


@dataclass(frozen=True)
class _Subject:
    """One condition's train studies: rows of the matrix [n], number of their grade [n], the grades told apart."""

    condition: str
    rows: np.ndarray
    grade: np.ndarray
    grades: tuple[str, ...]


def fit_grading(
    study_vectors: pl.DataFrame,
    labels: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    settings: GradingSettings,
    out: Path,
) -> FittedGrading:
    """Fit, prove and write a grading to ``out``; that no condition can be graded is no error.

    Args:
        study_vectors: embeddings.STUDIES of all batches.
        labels: labels.CONSENSUS; those of train patients with label 1 and a severity are learned from.
        splits: patient_key and split.
        settings: folds, grid, least number of patients of a grade, bootstrap, seed.
        out: folder, made if it is not there.

    Returns:
        The card as written, and ``GRADINGS``, a row a condition.

    Raises:
        ProbeInputError: mixed model versions, numbers that are not finite.
    """
    own = study_vectors.filter(
        pl.col("route").is_in([str(route) for route in READ_ROUTES])
        & ~pl.col("encoder").str.starts_with("synthesizer")
    )
    versions, preprocessings = model_versions(own), preprocessing_versions(own)
    vectors = set_vectors(own, "all")
    train = splits.filter(pl.col("split") == Split.TRAIN.value).select("patient_key").unique()
    told = labels.join(train, on="patient_key", how="semi").filter(
        (pl.col("label") == 1) & pl.col("severity").is_in(GRADES)
    )
    patients = _patients_of(vectors.study_keys, told)
    rows: dict[str, dict[str, Any]] = {}
    subjects: list[_Subject] = []
    for condition in condition_keys():
        subject, rows[condition] = _subject(condition, told, vectors.study_keys, patients, settings)
        subjects += [] if subject is None else [subject]
    fitted = _fit(vectors.values, patients, subjects, settings) if subjects else None
    used: list[_Subject] = []
    for subject in subjects:
        row = rows[subject.condition]
        row |= _proof(fitted, subject, patients, settings)
        if row["status"] == USED:
            used.append(subject)
    cuts = [
        Cuts(subject.condition, subject.grades, fitted.columns[subject.condition])
        for subject in used
        if fitted is not None
    ]
    card = save_grading(
        out,
        None if fitted is None else fitted.heads,
        None if fitted is None else fitted.base_rates,
        cuts,
        layout=vectors.layout,
        model_versions=versions,
        preprocessing_versions=preprocessings,
        about={"proof": list(rows.values()), "settings": settings.model_dump(mode="json")},
    )
    frame = [row | {"grading_version": card["grading_version"]} for row in rows.values()]
    return FittedGrading(
        card, pl.DataFrame([{n: row.get(n) for n in GRADINGS} for row in frame], schema=GRADINGS)
    )


@dataclass(frozen=True)
class _Fitted:
    """Held-out probabilities [N, K] and final heads of the cuts, their base rates [K], columns by condition."""

    held_out: np.ndarray
    heads: LinearHeads
    base_rates: np.ndarray
    columns: Mapping[str, tuple[int, ...]]


def _patients_of(study_keys: np.ndarray, told: pl.DataFrame) -> np.ndarray:
    """Patient of each study that is told of [N]; the empty string for others."""
    of = dict(told.select("study_key", "patient_key").iter_rows())
    return np.array([of.get(key, "") for key in study_keys], dtype=object)


def _subject(
    condition: str,
    told: pl.DataFrame,
    study_keys: np.ndarray,
    patients: np.ndarray,
    settings: GradingSettings,
) -> tuple[_Subject | None, dict[str, Any]]:
    grade_of = dict(told.filter(condition=condition).select("study_key", "severity").iter_rows())
    held = [(row, grade_of[key]) for row, key in enumerate(study_keys) if key in grade_of]
    counts = {name: len({patients[row] for row, own in held if own == name}) for name in GRADES}
    grades = tuple(name for name in GRADES if counts[name] >= settings.min_patients)
    kept = [(row, grades.index(own)) for row, own in held if own in grades]
    row = {
        "condition": condition,
        "grades": list(grades),
        "n_studies": len(kept),
        "n_patients": len({patients[at] for at, _ in kept}),
        "counts": [sum(own == n for _, own in kept) for n in range(len(grades))],
    }
    if not held:
        return None, row | {"status": NOT_USED, "reason": "no report of a train patient grades it"}
    if len(grades) < 2:
        seen = ", ".join(f"{name} {count}" for name, count in counts.items())
        return None, row | {
            "status": NOT_USED,
            "reason": f"fewer than two grades with {settings.min_patients} train patients ({seen})",
        }
    rows, numbers = (np.array(part, dtype=np.int64) for part in zip(*kept, strict=True))
    return _Subject(condition, rows, numbers, grades), row | {"chance": 1 / len(grades)}


def _fit(
    values: np.ndarray, patients: np.ndarray, subjects: list[_Subject], settings: GradingSettings
) -> _Fitted:
    columns: dict[str, tuple[int, ...]] = {}
    made: list[np.ndarray] = []
    for subject in subjects:
        columns[subject.condition] = tuple(range(len(made), len(made) + len(subject.grades) - 1))
        for cut in range(len(subject.grades) - 1):
            column = np.full(len(values), -1, dtype=np.int8)
            column[subject.rows] = subject.grade > cut
            made.append(column)
    truth = np.stack(made, axis=1)
    # Studies that no column uses would only take part in the standardisation.
    rows = np.flatnonzero((truth >= 0).any(axis=1))
    truth = truth[rows]
    found = crossfit(
        values[rows],
        truth,
        patient_folds(patients[rows], truth, folds=settings.folds, seed=settings.seed),
        n_folds=settings.folds,
        candidates=np.ones(truth.shape[1], dtype=bool),
        strengths=settings.regularisation,
    )
    held_out = np.full((len(values), truth.shape[1]), np.nan)
    held_out[rows] = found.held_out
    rates = (truth == 1).sum(axis=0) / (truth >= 0).sum(axis=0)
    return _Fitted(held_out, found.heads, rates, columns)


def _proof(
    fitted: _Fitted | None, subject: _Subject, patients: np.ndarray, settings: GradingSettings
) -> dict[str, Any]:
    columns = list(fitted.columns[subject.condition]) if fitted is not None else []
    if fitted is None or not fitted.heads.fitted[columns].all():
        return {"status": NOT_USED, "reason": "a training fold has one grade only: too few patients"}
    said = (fitted.held_out[np.ix_(subject.rows, columns)] > fitted.base_rates[columns]).sum(axis=1)
    value, low, high = balanced_accuracy(subject.grade, said, patients[subject.rows], settings)
    chance = 1 / len(subject.grades)
    beats = low is not None and low > chance
    reason = None
    if low is None:
        reason = "too few patients for an interval"
    elif not beats:
        reason = (
            f"out of fold it tells grades no better than chance: balanced accuracy {value:.2f}"
            f" ({low:.2f} to {high:.2f}), chance {chance:.2f}"
        )
    return {
        "status": USED if beats else NOT_USED,
        "reason": reason,
        "balanced_accuracy": value,
        "low": low,
        "high": high,
    }


def balanced_accuracy(
    truth: np.ndarray, said: np.ndarray, patients: np.ndarray, settings: GradingSettings
) -> tuple[float, float | None, float | None]:
    """Mean recall over the grades, with its 95 % percentile interval over patients.

    Args:
        truth, said: number of the grade [N]; every grade of 0 .. K - 1 occurs in ``truth``.
        patients: [N]; a drawn patient brings all studies. A draw that lacks a grade does not count.
    """
    known, member = np.unique(patients, return_inverse=True)
    weights = patient_draws(len(known), settings.bootstrap, (settings.seed,))[:, member].astype(np.float64)

    def of(weight: np.ndarray) -> np.ndarray:
        recalls = []
        for grade in range(int(truth.max()) + 1):
            own = weight[:, truth == grade]
            total = own.sum(axis=1)
            hits = own[:, said[truth == grade] == grade].sum(axis=1)
            recalls.append(np.divide(hits, total, out=np.full(len(total), np.nan), where=total > 0))
        return np.mean(recalls, axis=0)

    draws = of(weights)
    draws = draws[np.isfinite(draws)]
    value = float(of(np.ones((1, len(truth))))[0])
    if len(draws) == 0:
        return value, None, None
    low, high = np.percentile(draws, INTERVAL)
    return value, float(low), float(high)
