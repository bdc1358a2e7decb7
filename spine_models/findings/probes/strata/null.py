"""The null test: with labels dealt out anew among patients, the harness must find nothing.

All label rows of a patient move together, within train and within test, so that whatever ties a patient's studies and
its conditions to each other stays. The same folds, nested strength, calibration and heads are then run; a mean AUROC
whose interval misses one half says that something leaks (or, far more rarely, that the dice fell so: one in twenty).

Out of fold only pairs of one fold are compared: those have an expected AUROC of exactly one half under the null. Pooled
over folds, as the metrics are, it is slightly less, for a fold with one positive more is judged by a model that saw one
less; that mean stands beside it, so that the bias of the metrics at this size can be seen.

Belongs here: shuffling and the table. Does not belong here: fitting (``evaluate``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import t as student

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.domain import Split
from spine_models.findings.probes.aligned import no_cv_of, reports_seen
from spine_models.findings.probes.evaluate import EVALUATIONS, SPINEFM, fit_set, train_folds
from spine_models.findings.probes.scores import auroc
from spine_models.findings.probes.strata.resampling import Scored, scored
from spine_models.findings.probes.strata.tables import NULL
from spine_models.findings.probes.studies import StudyLabels, model_versions, study_labels

HALF: Final = 0.5


def shuffled(truth: StudyLabels, seed: tuple[int, ...]) -> StudyLabels:
    """The labels with every patient's rows given to another patient of the same split.

    The giver's rows are repeated or cut to the taker's number of studies. The permutation is drawn from all, so that
    a patient may by chance keep its own.

    Args:
        truth: labelled studies.
        seed: of the permutation; the result does not depend on the order in which studies were read.
    """
    rng = np.random.default_rng(list(seed))
    labels = truth.labels.copy()
    for split in np.unique(truth.split):
        here = np.flatnonzero(truth.split == split)
        patients, member = np.unique(truth.patient_keys[here], return_inverse=True)
        rows = [here[member == number] for number in range(len(patients))]
        for taker, giver in zip(rows, rng.permutation(len(patients)), strict=True):
            labels[taker] = truth.labels[rows[giver][np.arange(len(taker)) % len(rows[giver])]]
    return replace(truth, labels=labels)


def null_test(
    study_vectors: pl.DataFrame,
    labels: pl.DataFrame,
    splits: pl.DataFrame,
    *,
    probes: ProbeSettings,
    settings: StratumSettings,
) -> pl.DataFrame:
    """probes.NULL: sequence sets x evaluations.

    Args:
        study_vectors: embeddings.STUDIES of all batches.
        labels: labels.CONSENSUS.
        splits: patient_key and split.
        probes: folds, grid, least number of patients.
        settings: sequence sets, repeats, seed.

    Raises:
        ProbeInputError: mixed model versions, a patient in two splits, duplicated rows.
    """
    model_versions(study_vectors)
    truth = study_labels(labels, splits)
    seen = reports_seen(study_vectors, truth.study_keys[truth.split == Split.TRAIN].tolist())
    rows: list[dict[str, object]] = []
    for number, sequence_set in enumerate(settings.sets):
        real = _means(study_vectors, sequence_set, truth, probes)
        repeats = [
            _means(study_vectors, sequence_set, shuffled(truth, (settings.seed, 13, number, repeat)), probes)
            for repeat in range(settings.null_repeats)
        ]
        for evaluation in EVALUATIONS:
            identity = {"encoder": SPINEFM, "sequence_set": sequence_set, "evaluation": evaluation}
            identity["n_patients"] = real[evaluation].n_patients
            row = _row([one[evaluation] for one in repeats], real[evaluation])
            # Shuffled labels are nobody's reports; the real ones may be, in vectors that saw them.
            leaks = evaluation == "cv" and no_cv_of(sequence_set, seen) is not None
            rows.append(identity | row | ({"real": None} if leaks else {}))
    return pl.DataFrame(rows, schema=NULL)


def passes(null: pl.DataFrame) -> bool:
    """Whether every interval that could be measured holds one half, and at least one could."""
    held = null.filter(pl.col("status") == "evaluated")
    return held.height > 0 and bool(
        held.select(((pl.col("auroc_low") <= HALF) & (pl.col("auroc_high") >= HALF)).all()).item()
    )


@dataclass(frozen=True)
class _Mean:
    """Mean AUROC over the evaluable conditions, NaN for none: within folds, and pooled as the metrics are."""

    within: float
    pooled: float
    n_conditions: int
    n_patients: int


def _row(repeats: list[_Mean], real: _Mean) -> dict[str, object]:
    held = [one for one in repeats if np.isfinite(one.within)]
    values = np.array([one.within for one in held])
    row: dict[str, object] = {"n_repeats": len(values), "real": real.within if real.n_conditions else None}
    row["n_conditions"] = max(one.n_conditions for one in repeats)
    if len(values) < 3:
        reason = "too few patients for a head in nearly every repeat"
        return row | {"status": "not_evaluable", "reason": reason}
    spread = float(values.std(ddof=1))
    half = float(student.ppf(0.975, len(values) - 1)) * spread / np.sqrt(len(values))
    row |= {"auroc": float(values.mean()), "auroc_spread": spread, "status": "evaluated"}
    row["pooled"] = float(np.mean([one.pooled for one in held]))
    return row | {"auroc_low": float(values.mean() - half), "auroc_high": float(values.mean() + half)}


def _means(
    vectors: pl.DataFrame, sequence_set: str, truth: StudyLabels, probes: ProbeSettings
) -> dict[str, _Mean]:
    """By evaluation."""
    found = fit_set(vectors, sequence_set, truth, train_folds(truth, probes), probes)
    out: dict[str, _Mean] = {}
    for evaluation in EVALUATIONS:
        part = scored(found, truth, evaluation)
        folds = found.folds if evaluation == "cv" else np.zeros(len(part.study_keys), dtype=np.int64)
        values = [
            one
            for column in range(part.labels.shape[1])
            if (one := _aurocs(part, folds, column, probes)) is not None
        ]
        within, pooled = np.mean(values, axis=0) if values else (np.nan, np.nan)
        out[evaluation] = _Mean(float(within), float(pooled), len(values), part.n_patients)
    return out


def _aurocs(
    part: Scored, folds: np.ndarray, column: int, probes: ProbeSettings
) -> tuple[float, float] | None:
    """AUROC over pairs of one fold and over all pairs, or None where the condition cannot be scored."""
    if part.unscored(column, probes.min_positive) is not None:
        return None
    kept = part.labels[:, column] >= 0
    label, chances = part.labels[kept, column], part.probabilities[kept, column]
    wins, pairs = 0.0, 0
    for fold in np.unique(folds[kept]):
        here = folds[kept] == fold
        n = int((label[here] == 1).sum()) * int((label[here] == 0).sum())
        if n:
            wins += float(auroc(label[here], chances[here])[0]) * n
            pairs += n
    return (wins / pairs, float(auroc(label, chances)[0])) if pairs else None
