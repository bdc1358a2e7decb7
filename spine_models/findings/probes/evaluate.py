"""The probes' evaluation: each condition, encoder and sequence set, by folds and on the test patients.

``cv`` scores the held-out probabilities of the train patients; ``test`` scores, once, the heads fitted on all
train patients. Patients of val, outside or no split are in neither. A combination that cannot be scored keeps
its row, with status ``not_evaluable`` and the reason.

Belongs here: who is scored on what, and the two tables. Does not belong here: the method (``crossfit``),
saving heads (``heads``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.config import ProbeSettings
from spine_models.domain import Split, condition_keys
from spine_models.findings.probes.crossfit import MIN_FOLDS, Crossfit, crossfit
from spine_models.findings.probes.folds import patient_folds
from spine_models.findings.probes.scores import brier, calibration_error, patient_draws, with_intervals
from spine_models.findings.probes.studies import (
    ROUTES_OF_SET,
    StudyLabels,
    StudyVectors,
    model_versions,
    set_vectors,
    study_labels,
)
from spine_models.findings.probes.tables import METRICS, PREDICTIONS

SPINEFM: Final = "spinefm"
EVALUATIONS: Final = ("cv", "test")
NO_VECTORS: Final = "no study has vectors of this encoder and sequence set"


@dataclass(frozen=True)
class ProbeTables:
    """probes.METRICS and probes.PREDICTIONS."""

    metrics: pl.DataFrame
    predictions: pl.DataFrame


@dataclass(frozen=True)
class FittedSet:
    """One encoder and sequence set after cross-fitting on the labelled train patients.

    Attributes:
        train, test: rows of ``vectors`` [N_train], [N_test].
        rows: row in the labels of each row of ``vectors``, -1 where there is none.
        folds: of the train rows.
        unfit: per condition why it has no head, or None.
    """

    vectors: StudyVectors
    rows: np.ndarray
    train: np.ndarray
    test: np.ndarray
    folds: np.ndarray
    result: Crossfit
    unfit: list[str | None]


def evaluate_probes(
    study_vectors: pl.DataFrame,
    baselines: pl.DataFrame | None,
    labels: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    settings: ProbeSettings,
) -> ProbeTables:
    """Score SpineFM's vectors and every baseline's in the same way, on the same folds and bootstrap draws.

    Args:
        study_vectors: embeddings.STUDIES of all batches (encoder ``spinefm`` in the result).
        baselines: probes.BASELINES of all batches, or None to score SpineFM alone.
        labels: labels.CONSENSUS; -1 is in neither training nor scores.
        splits: patient_key and split.
        settings: folds, grid, bootstrap, seed.

    Returns:
        Metrics with exactly conditions x encoders x 3 sequence sets x 2 evaluations rows, and the predictions
        of every labelled study that a fitted head covers.

    Raises:
        ProbeInputError: mixed model versions, a patient in two splits, duplicated rows.
    """
    model_versions(study_vectors)
    truth = study_labels(labels, splits)
    folds = train_folds(truth, settings)
    patients = {
        evaluation: np.unique(truth.patient_keys[truth.split == split])
        for evaluation, split in zip(EVALUATIONS, (Split.TRAIN, Split.TEST), strict=True)
    }
    draws = {
        evaluation: patient_draws(len(keys), settings.bootstrap, (settings.seed, number))
        for number, (evaluation, keys) in enumerate(patients.items())
    }
    metrics: list[dict[str, object]] = []
    predictions: list[pl.DataFrame] = []
    for encoder, frame in _encoders(study_vectors, baselines, settings):
        for sequence_set in ROUTES_OF_SET:
            found = fit_set(frame, sequence_set, truth, folds, settings)
            for evaluation in EVALUATIONS:
                for number, condition in enumerate(condition_keys()):
                    scored = _scored(found, truth, evaluation, number)
                    identity = {"condition": condition, "encoder": encoder, "sequence_set": sequence_set}
                    identity["evaluation"] = evaluation
                    metrics.append(
                        identity
                        | _metrics(scored, found.unfit[number], patients, draws, evaluation, settings)
                    )
                    if scored.probability is not None:
                        predictions.append(scored.frame(identity))
    table = pl.concat(predictions) if predictions else pl.DataFrame(schema=PREDICTIONS)
    return ProbeTables(
        pl.DataFrame(metrics, schema=METRICS),
        table.sort("condition", "encoder", "sequence_set", "evaluation", "study_key"),
    )


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
    """Cross-fit one encoder's vectors of one sequence set, without conditions of too few patients."""
    vectors = set_vectors(frame, sequence_set)
    at = truth.rows_of(vectors.study_keys)
    known = np.flatnonzero(at >= 0)
    train = known[truth.split[at[known]] == Split.TRAIN]
    test = known[truth.split[at[known]] == Split.TEST]
    labels = truth.labels[at[train]]
    patients = truth.patient_keys[at[train]]
    unfit = [
        NO_VECTORS
        if len(vectors.study_keys) == 0
        else _too_few(labels[:, c], patients, settings.min_positive, "train")
        for c in range(labels.shape[1])
    ]
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
            unfit[c] = "a training fold has one class only: too few patients of the rarer class"
    return FittedSet(vectors, at, train, test, folds[at[train]], result, unfit)


@dataclass(frozen=True)
class _Scored:
    """Labelled studies of one evaluation and condition; probability is None where no head was fitted."""

    study_keys: np.ndarray
    patient_keys: np.ndarray
    label: np.ndarray
    probability: np.ndarray | None
    fold: np.ndarray | None

    def frame(self, identity: dict[str, str]) -> pl.DataFrame:
        columns: dict[str, object] = {
            "study_key": self.study_keys.tolist(),
            "patient_key": self.patient_keys.tolist(),
            "fold": [None] * len(self.label) if self.fold is None else self.fold.tolist(),
            "label": self.label.tolist(),
            "probability": self.probability,
        }
        frame = pl.DataFrame(columns, schema={name: PREDICTIONS[name] for name in columns})
        return frame.with_columns(pl.lit(value).alias(name) for name, value in identity.items()).select(
            *PREDICTIONS
        )


def _scored(found: FittedSet, truth: StudyLabels, evaluation: str, condition: int) -> _Scored:
    rows = found.train if evaluation == "cv" else found.test
    label = truth.labels[found.rows[rows], condition]
    kept = label >= 0
    probability = None
    if found.unfit[condition] is None and kept.any():
        if evaluation == "cv":
            probability = found.result.held_out[kept, condition]
        else:
            probability = found.result.heads.probabilities(found.vectors.values[rows[kept]])[:, condition]
    return _Scored(
        found.vectors.study_keys[rows][kept],
        truth.patient_keys[found.rows[rows]][kept],
        label[kept],
        probability,
        found.folds[kept] if evaluation == "cv" else None,
    )


def _metrics(
    scored: _Scored,
    unfit: str | None,
    patients: dict[str, np.ndarray],
    draws: dict[str, np.ndarray],
    evaluation: str,
    settings: ProbeSettings,
) -> dict[str, object]:
    label, keys = scored.label, scored.patient_keys
    row: dict[str, object] = {
        "n_studies": len(label),
        "n_patients": len(np.unique(keys)),
        "n_positive": int((label == 1).sum()),
    }
    reason = unfit or _too_few(label, keys, settings.min_positive, "train" if evaluation == "cv" else "test")
    if reason is not None or scored.probability is None:
        return row | {"status": "not_evaluable", "reason": reason}
    members = np.searchsorted(patients[evaluation], keys)
    roc, precision = with_intervals(label, scored.probability, members, draws[evaluation])
    return row | {
        "status": "evaluated",
        "auroc": roc.value,
        "auroc_low": roc.low,
        "auroc_high": roc.high,
        "auprc": precision.value,
        "auprc_low": precision.low,
        "auprc_high": precision.high,
        "brier": brier(label, scored.probability),
        "ece": calibration_error(label, scored.probability),
    }


def _too_few(label: np.ndarray, patients: np.ndarray, least: int, split: str) -> str | None:
    """Why these labelled studies cannot carry a probe or a score, or None. Counts patients, not studies."""
    for value, name in ((1, "positive"), (0, "negative")):
        count = len(np.unique(patients[label == value]))
        if count < least:
            return f"{count} {name} patients in {split}, at least {least} are needed"
    return None


def _encoders(
    study_vectors: pl.DataFrame, baselines: pl.DataFrame | None, settings: ProbeSettings
) -> list[tuple[str, pl.DataFrame]]:
    """SpineFM, then the configured baselines, then any others in the frame; each with its vectors."""
    found = [(SPINEFM, study_vectors)]
    if baselines is not None:
        extra = sorted(set(baselines["encoder"].to_list()) - set(settings.baselines))
        found += [
            (name, baselines.filter(pl.col("encoder") == name)) for name in (*settings.baselines, *extra)
        ]
    return found
