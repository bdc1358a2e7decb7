"""The null test: with labels dealt out anew among patients, the harness must find nothing.

All label rows of a patient move together, within train and within test, so that whatever ties a patient's studies and
its conditions to each other stays. The same folds, nested strength, calibration and scores are then run; a mean AUROC
whose interval misses one half says that something leaks (or, far more rarely, that the dice fell so: one in twenty).

Belongs here: shuffling and the table. Does not belong here: fitting (``evaluate``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import t as student

from spine_models.config import ProbeSettings, StratumSettings
from spine_models.findings.probes.evaluate import EVALUATIONS, SPINEFM, fit_set, train_folds
from spine_models.findings.probes.scores import auroc
from spine_models.findings.probes.strata.resampling import Scored, scored, too_few
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
    rows: list[dict[str, object]] = []
    for number, sequence_set in enumerate(settings.sets):
        real = _means(study_vectors, sequence_set, truth, probes)
        repeats = [
            _means(study_vectors, sequence_set, shuffled(truth, (settings.seed, 13, number, repeat)), probes)
            for repeat in range(settings.null_repeats)
        ]
        for evaluation in EVALUATIONS:
            identity = {"encoder": SPINEFM, "sequence_set": sequence_set, "evaluation": evaluation}
            identity["n_patients"] = real[evaluation][2]
            rows.append(identity | _row([one[evaluation] for one in repeats], real[evaluation][0]))
    return pl.DataFrame(rows, schema=NULL)


def passes(null: pl.DataFrame) -> bool:
    """Whether every interval that could be measured holds one half, and at least one could."""
    held = null.filter(pl.col("status") == "evaluated")
    return held.height > 0 and bool(
        held.select(((pl.col("auroc_low") <= HALF) & (pl.col("auroc_high") >= HALF)).all()).item()
    )


def _row(repeats: list[tuple[float, int, int]], real: float) -> dict[str, object]:
    values = np.array([value for value, _, _ in repeats if np.isfinite(value)])
    row: dict[str, object] = {"n_repeats": len(values), "real": real if np.isfinite(real) else None}
    row["n_conditions"] = max(count for _, count, _ in repeats)
    if len(values) < 3:
        reason = "too few patients for a head in nearly every repeat"
        return row | {"status": "not_evaluable", "reason": reason}
    spread = float(values.std(ddof=1))
    half = float(student.ppf(0.975, len(values) - 1)) * spread / np.sqrt(len(values))
    row |= {"auroc": float(values.mean()), "auroc_spread": spread, "status": "evaluated"}
    return row | {"auroc_low": float(values.mean() - half), "auroc_high": float(values.mean() + half)}


def _means(
    vectors: pl.DataFrame, sequence_set: str, truth: StudyLabels, probes: ProbeSettings
) -> dict[str, tuple[float, int, int]]:
    """Mean AUROC over the evaluable conditions (NaN for none), their number, patients; by evaluation."""
    found = fit_set(vectors, sequence_set, truth, train_folds(truth, probes), probes)
    out: dict[str, tuple[float, int, int]] = {}
    for evaluation in EVALUATIONS:
        part = scored(found, truth, evaluation)
        values = [
            one for column in range(part.labels.shape[1]) if (one := _auroc(part, column, probes)) is not None
        ]
        mean = float(np.mean(values)) if values else float("nan")
        out[evaluation] = (mean, len(values), part.n_patients)
    return out


def _auroc(part: Scored, column: int, probes: ProbeSettings) -> float | None:
    kept = part.labels[:, column] >= 0
    label = part.labels[kept, column]
    if part.unfit[column] or too_few(label, part.patient_keys[kept], probes.min_positive):
        return None
    return float(auroc(label, part.probabilities[kept, column])[0])
