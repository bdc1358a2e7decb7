"""One encoder's vectors of one sequence set, cross-fitted on the labelled train patients.

Belongs here: which studies are fitted on, which conditions have too few patients, the folds that all encoders share.
Does not belong here: the method (``crossfit``), scores (``evaluate``), saving heads (``heads``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import ProbeSettings
from spine_models.domain import Split
from spine_models.findings.probes.crossfit import MIN_FOLDS, Crossfit, crossfit
from spine_models.findings.probes.folds import patient_folds
from spine_models.findings.probes.studies import StudyLabels, StudyVectors, set_vectors

NO_VECTORS: Final = "no study has vectors of this encoder and sequence set"
ONE_CLASS: Final = "a training fold has one class only: too few patients of the rarer class"


@dataclass(frozen=True)
class FittedSet:
    """One encoder and sequence set after cross-fitting on the labelled train patients.

    Attributes:
        train, test: rows of ``vectors`` [N_train], [N_test].
        rows: row in the labels of each row of ``vectors``, -1 where there is none.
        folds: of the train rows.
        unfit: per condition why it has no head, or None.
        val: rows of ``vectors`` of val patients, who are neither fitted on nor scored [N_val].
    """

    vectors: StudyVectors
    rows: np.ndarray
    train: np.ndarray
    test: np.ndarray
    folds: np.ndarray
    result: Crossfit
    unfit: list[str | None]
    val: np.ndarray


def fold_count(settings: ProbeSettings) -> int:
    """``settings.folds``, but at least the three that nested cross-fitting needs."""
    return max(settings.folds, MIN_FOLDS)


def train_folds(truth: StudyLabels, settings: ProbeSettings) -> np.ndarray:
    """Fold of every labelled study, -1 outside the train split; the same for all encoders and sets."""
    folds = np.full(len(truth.study_keys), -1, dtype=np.int32)
    train = truth.split == Split.TRAIN
    if train.any():
        folds[train] = patient_folds(
            truth.patient_keys[train], truth.labels[train], folds=fold_count(settings), seed=settings.seed
        )
    return folds


def fit_set(
    frame: pl.DataFrame, sequence_set: str, truth: StudyLabels, folds: np.ndarray, settings: ProbeSettings
) -> FittedSet:
    """Cross-fit one encoder's vectors of one sequence set, without conditions of too few patients.

    Args:
        frame: study_key, route, vector of one encoder.
        sequence_set: t1, t2, other or all.
        truth: the labelled studies.
        folds: of ``truth``'s rows, -1 outside train (``train_folds``).
        settings: least number of patients, number of folds, grid.
    """
    vectors = set_vectors(frame, sequence_set)
    at = truth.rows_of(vectors.study_keys)
    known = np.flatnonzero(at >= 0)
    train = known[truth.split[at[known]] == Split.TRAIN]
    test = known[truth.split[at[known]] == Split.TEST]
    val = known[truth.split[at[known]] == Split.VAL]
    labels = truth.labels[at[train]]
    unfit = unfit_conditions(labels, truth.patient_keys[at[train]], settings, empty=len(at) == 0)
    result = crossfit(
        vectors.values[train],
        labels,
        folds[at[train]],
        n_folds=fold_count(settings),
        candidates=np.array([reason is None for reason in unfit]),
        strengths=settings.regularisation,
    )
    for c, fitted in enumerate(result.heads.fitted):
        if unfit[c] is None and not fitted:
            unfit[c] = ONE_CLASS
    return FittedSet(vectors, at, train, test, folds[at[train]], result, unfit, val)


def unfit_conditions(
    labels: np.ndarray, patients: np.ndarray, settings: ProbeSettings, *, empty: bool
) -> list[str | None]:
    """Per condition why the train studies cannot carry a head, or None.

    Args:
        labels: of the train studies [N, C].
        patients: their patients [N].
        settings: least number of patients of either class.
        empty: whether no study at all, labelled or not, has vectors.
    """
    if empty:
        return [NO_VECTORS] * labels.shape[1]
    return [too_few(labels[:, c], patients, settings.min_positive, "train") for c in range(labels.shape[1])]


def too_few(label: np.ndarray, patients: np.ndarray, least: int, split: str) -> str | None:
    """Why these labelled studies cannot carry a probe or a score, or None. Counts patients, not studies."""
    for value, name in ((1, "positive"), (0, "negative")):
        count = len(np.unique(patients[label == value]))
        if count < least:
            return f"{count} {name} patients in {split}, at least {least} are needed"
    return None
