"""The table of the ablations: each variant's mean AUROC and AUPRC beside its reference's, paired by patient.

All variants of a question are scored on the same studies, conditions, folds and bootstrap draws, so that a difference
is one of variants. A condition counts where every variant can be evaluated on it.

Belongs here: pairing, means over conditions, their intervals. Does not belong here: fitting (``probes.evaluate``), the
vectors (``vectors``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from spine_models.config import ProbeSettings
from spine_models.domain import Split
from spine_models.findings.ablations.tables import SCORES
from spine_models.findings.ablations.variants import COMPARISONS, Comparison
from spine_models.findings.embeddings.versions import Table
from spine_models.findings.probes.bootstrap import relative
from spine_models.findings.probes.evaluate import FittedSet, fit_set, train_folds
from spine_models.findings.probes.scores import INTERVAL, auroc, average_precision, patient_draws
from spine_models.findings.probes.studies import ProbeInputError, StudyLabels, model_versions, study_labels

MEASURES: Final = {"auroc": auroc, "auprc": average_precision}
CHUNK: Final = 250
"""Replicates at a time; bounds memory."""
SPLITS: Final = {"cv": Split.TRAIN, "test": Split.TEST}


class Scored(NamedTuple):
    """One variant's probabilities on the studies that all variants of the question have.

    ``probabilities`` float [N, C], NaN where there is no head.
    """

    variant: str
    probabilities: np.ndarray


def score_ablations(
    vectors: pl.DataFrame, labels: pl.DataFrame, splits: pl.DataFrame, *, settings: ProbeSettings
) -> pl.DataFrame:
    """SCORES of every question that has vectors of its reference and of a variant.

    Args:
        vectors: ablations.VECTORS.
        labels: labels.CONSENSUS.
        splits: patient_key and split.
        settings: of the probes: folds, grid, bootstrap, least number of patients, seed.

    Raises:
        ProbeInputError: two vectors of one study, a variant's vectors of one route from two models, a patient in two
            splits, duplicated rows.
    """
    truth = study_labels(labels, splits)
    folds = train_folds(truth, settings)
    rows: list[dict[str, object]] = []
    for question, comparison in COMPARISONS.items():
        own = vectors.filter(pl.col("question") == question.value)
        names = own["variant"].unique().sort().to_list()
        if comparison.reference not in names or len(names) < 2:
            continue
        for name in names:
            table = Table(
                f"ablations/vectors of {name}", "materialise ablations/vectors again", ProbeInputError
            )
            model_versions(own.filter(pl.col("variant") == name), table)
        for sequence_set in comparison.sequence_sets:
            fitted = {
                name: fit_set(own.filter(pl.col("variant") == name), sequence_set, truth, folds, settings)
                for name in names
            }
            for evaluation in comparison.evaluations:
                found = _compared(comparison, fitted, truth, evaluation, settings)
                place = {"question": question.value, "sequence_set": sequence_set, "evaluation": evaluation}
                rows += [place | row for row in found]
    return pl.DataFrame(rows, schema=SCORES)


def _compared(
    comparison: Comparison,
    fitted: dict[str, FittedSet],
    truth: StudyLabels,
    evaluation: str,
    settings: ProbeSettings,
) -> Iterator[dict[str, object]]:
    """One row per variant and measure, the reference first."""
    order = sorted(fitted, key=lambda name: (name != comparison.reference, name))
    studies, scored = _on_common_studies({name: fitted[name] for name in order}, truth, evaluation)
    labels, patients = truth.labels[studies], truth.patient_keys[studies]
    chosen = [
        c
        for c in range(labels.shape[1])
        if _enough(labels[:, c], patients, settings.min_positive)
        and all(np.isfinite(each.probabilities[labels[:, c] >= 0, c]).all() for each in scored)
    ]
    count = {"conditions": len(chosen), "n_studies": len(studies)}
    if not chosen:
        reason = "no condition has enough patients of both kinds with vectors of every variant"
        for name in order:
            for measure in MEASURES:
                yield _named(comparison, name, measure) | count | {"reason": reason}
        return
    members, draws = _draws(patients, settings, evaluation)
    for measure, score in MEASURES.items():
        values, replicates = [], []
        for each in scored:
            point, drawn = _mean_over(score, labels, each.probabilities, chosen, members, draws)
            values.append(point)
            replicates.append(drawn)
        for i, name in enumerate(order):
            low, high = _interval(replicates[i])
            row: dict[str, object] = _named(comparison, name, measure) | count
            row |= {"value": values[i], "low": low, "high": high}
            if i:
                apart, gain = replicates[0] - replicates[i], relative(replicates[0], replicates[i])
                gained = float(relative(values[0], values[i]))
                row |= {"difference": values[0] - values[i]}
                row |= {"relative_gain": gained if np.isfinite(gained) else None}
                row |= dict(zip(("difference_low", "difference_high"), _interval(apart), strict=True))
                row |= dict(zip(("relative_gain_low", "relative_gain_high"), _interval(gain), strict=True))
            yield row


def _named(comparison: Comparison, variant: str, measure: str) -> dict[str, object]:
    return {"variant": variant, "is_reference": variant == comparison.reference, "measure": measure}


def _on_common_studies(
    fitted: dict[str, FittedSet], truth: StudyLabels, evaluation: str
) -> tuple[np.ndarray, list[Scored]]:
    """Rows of ``truth`` that every variant has, ascending, and the variants' probabilities on them."""
    own = {name: _of(found, evaluation) for name, found in fitted.items()}
    common: set[int] | None = None
    for studies, _ in own.values():
        common = set(studies.tolist()) if common is None else common & set(studies.tolist())
    rows = np.array(sorted(common or ()), dtype=np.int64)
    scored = []
    for name, (studies, probabilities) in own.items():
        at = {int(study): i for i, study in enumerate(studies)}
        held = probabilities[[at[int(row)] for row in rows]] if len(rows) else probabilities[:0]
        scored.append(Scored(name, held))
    return rows, scored


def _of(found: FittedSet, evaluation: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the labels and probabilities [n, C] of one evaluation."""
    if evaluation == "cv":
        return found.rows[found.train], found.result.held_out
    if len(found.test) == 0:
        return found.rows[found.test], np.zeros((0, len(found.unfit)))
    return found.rows[found.test], found.result.heads.probabilities(found.vectors.values[found.test])


def _enough(label: np.ndarray, patients: np.ndarray, least: int) -> bool:
    return all(len(np.unique(patients[label == value])) >= least for value in (0, 1))


def _draws(patients: np.ndarray, settings: ProbeSettings, evaluation: str) -> tuple[np.ndarray, np.ndarray]:
    """Column of each study in the draws, and the draws [B, P]."""
    keys, members = np.unique(patients, return_inverse=True)
    return members, patient_draws(
        len(keys), settings.bootstrap, (settings.seed, list(SPLITS).index(evaluation))
    )


def _mean_over(
    score,
    labels: np.ndarray,
    probabilities: np.ndarray,
    chosen: list[int],
    members: np.ndarray,
    draws: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Mean of a score over conditions, and over each replicate's conditions that still have both classes.

    A condition that drops out of a replicate must not shift it: each enters by its deviation from its own value.
    """
    points, drawn = [], []
    for c in chosen:
        used = labels[:, c] >= 0
        label, held, at = labels[used, c], probabilities[used, c], members[used]
        points.append(float(score(label, held)[0]))
        parts = [
            score(label, held, draws[start : start + CHUNK][:, at].astype(np.float64))
            for start in range(0, len(draws), CHUNK)
        ]
        drawn.append(np.concatenate(parts))
    apart = np.stack(drawn) - np.array(points)[:, None]
    return float(np.mean(points)), float(np.mean(points)) + _nan_mean(apart)


def _nan_mean(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, known.sum(axis=0), out=np.full(values.shape[1], np.nan), where=known.any(axis=0))


def _interval(replicates: np.ndarray) -> tuple[float | None, float | None]:
    valid = replicates[np.isfinite(replicates)]
    if not len(valid):
        return None, None
    low, high = np.percentile(valid, INTERVAL)
    return float(low), float(high)
