"""Single scores: AUROC, average precision, Brier score, calibration error; and the draws of a bootstrap over patients.

Belongs here: scores of (label, probability) pairs, with weights where they rank. Does not belong here: all scores of an
evaluation at once with their replicates (``bootstrap``), which studies are scored, fitting of any kind.

AUROC is the Mann-Whitney statistic with ties counted half, AUPRC is average precision without interpolation;
both agree with scikit-learn's ``roc_auc_score`` and ``average_precision_score`` (also for weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

INTERVAL = (2.5, 97.5)
"""Percentiles of the bootstrap interval."""

MAX_BINS = 15
PER_BIN = 10
"""Equal-mass bins of the calibration error: about ten studies a bin, at most fifteen bins."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % percentile interval over patients."""

    value: float
    low: float
    high: float


def auroc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve [B], NaN where a replicate has one class only.

    Args:
        labels: 0 or 1 [N].
        scores: finite [N]; higher is more likely positive.
        weights: >= 0 [B, N]; one row of ones if None.
    """
    positive, negative = _by_threshold(labels, scores, weights)
    below = np.cumsum(negative, axis=1) - negative
    wins = (positive * (below + 0.5 * negative)).sum(axis=1)
    return _ratio(wins, positive.sum(axis=1) * negative.sum(axis=1))


def average_precision(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Average precision [B], NaN where a replicate has one class only. Arguments as for ``auroc``."""
    positive, negative = (part[:, ::-1] for part in _by_threshold(labels, scores, weights))
    hits, alarms = np.cumsum(positive, axis=1), np.cumsum(negative, axis=1)
    precision = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=hits + alarms > 0)
    value = _ratio((positive * precision).sum(axis=1), hits[:, -1])
    return np.where(alarms[:, -1] > 0, value, np.nan)


def brier(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean squared difference of probability and label."""
    return float(np.mean((probabilities - labels) ** 2))


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error over equal-mass bins: sum of (n_bin / N) * |mean probability - mean label|.

    There are min(15, max(1, N // 10)) bins; equal probabilities always share one, so the order of the studies
    does not matter.
    """
    member = np.searchsorted(bin_edges(np.sort(probabilities)), probabilities, side="right")
    gaps = np.bincount(member, weights=probabilities - labels)
    return float(np.abs(gaps).sum() / len(labels))


def bin_edges(ordered: np.ndarray) -> np.ndarray:
    """Inner edges of the equal-mass bins of ascending probabilities; a probability on an edge is above it."""
    bins = min(MAX_BINS, max(1, len(ordered) // PER_BIN))
    return ordered[(np.arange(1, bins) * len(ordered)) // bins]


def patient_draws(n_patients: int, replicates: int, seed: Sequence[int]) -> np.ndarray:
    """How often each patient is drawn, int32 [replicates, n_patients]; rows sum to n_patients."""
    rng = np.random.default_rng(list(seed))
    if n_patients == 0:
        return np.zeros((replicates, 0), dtype=np.int32)
    return rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=replicates).astype(np.int32)


def _by_threshold(
    labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positives and of negatives at each distinct score, ascending: two arrays [B, G]."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    weight = np.ones((1, len(scores))) if weights is None else weights[:, order]
    truth = labels[order].astype(np.float64)
    positive = np.add.reduceat(weight * truth, starts, axis=1)
    negative = np.add.reduceat(weight * (1.0 - truth), starts, axis=1)
    return positive, negative


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
