"""Nested cross-fitting of the linear heads: held-out probabilities and the final heads, in one pass.

With folds numbered 0 .. F - 1, models are fitted without one fold and without two folds. The rows of fold k
are predicted by the model without k; its strength and its Platt scaling come from the rows of every other
fold j, predicted by the model without j and k. So nothing that a prediction rests on has seen its own fold.
The final heads' strength and scaling come from the rows predicted by the models without one fold; their
weights from all.

Logits of different models are pooled only after each model's own prior, the log-odds of its training labels,
has been taken off: a fold with one positive more is predicted by models that saw one less, and without this a
head that knows nothing scores an AUROC of about 0.45 rather than 0.5. For the same reason the held-out
probabilities of all folds refer to one prior, that of all rows; it completes what stratified folds only
approach. A map's prior is that of Platt's smoothed targets, not of the labels: what the smoothing leaves of a fold's
own prevalence would rank folds against their labels.

Belongs here: this scheme. Does not belong here: the solver (``logistic``), which conditions qualify
(``evaluate``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from spine_models.findings.probes.calibration import fit_platt, log_loss, probabilities, target_log_odds
from spine_models.findings.probes.logistic import Basis, fit, standardise

MIN_FOLDS: Final = 3
"""Two folds leave nothing to fit on once both the scored and the choosing fold are held out."""

DECIMALS: Final = 9
"""Of held-out probabilities: what folds differ in by rounding alone must tie, not rank."""

SMALL: Final = 2000
"""Below so many studies one BLAS thread is faster, and the heads do not depend on the number of cores."""


@dataclass(frozen=True)
class LinearHeads:
    """Fitted heads over raw vectors: sigmoid(slope * (((x - mean) / scale) . weights + bias) + intercept).

    Attributes:
        mean, scale: standardisation of the training rows, [D].
        weights: [D, C]; bias, slope, intercept: [C].
        strength: the chosen C of each head, [C].
        fitted: [C]; columns that are not fitted hold zeros and must not be used.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    slope: np.ndarray
    intercept: np.ndarray
    strength: np.ndarray
    fitted: np.ndarray

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Calibrated probabilities [N, C] of vectors [N, D]; NaN in columns that are not fitted.

        A number that is NaN (a block that the study lacks) is left out of the sum.
        """
        logits = self.logits(values)
        return np.where(self.fitted, probabilities(logits, self.slope, self.intercept), np.nan)

    def logits(self, values: np.ndarray) -> np.ndarray:
        """Logits [N, C] before calibration."""
        return standardise(values, self.mean, self.scale) @ self.weights + self.bias


@dataclass(frozen=True)
class Crossfit:
    """Held-out probabilities [N, C] (NaN in columns that are not fitted) and the heads fitted on all rows."""

    held_out: np.ndarray
    heads: LinearHeads


def crossfit(
    values: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    *,
    n_folds: int,
    candidates: np.ndarray,
    strengths: tuple[float, ...],
) -> Crossfit:
    """Fit every candidate condition.

    Args:
        values: vectors [N, D]; NaN where a study lacks the block (``studies.set_vectors``).
        labels: [N, C] of 1, 0 and -1 (left out).
        folds: fold of each row [N]; all rows of a patient share one.
        n_folds: at least 3.
        candidates: conditions to fit, bool [C]. One of which a training part has a single class is not
            fitted.
        strengths: grid of C, the inverse of the penalty, as in scikit-learn.

    Raises:
        ValueError: fewer than three folds.
    """
    if n_folds < MIN_FOLDS:
        raise ValueError(f"probes.folds is {n_folds}: nested cross-validation needs at least {MIN_FOLDS}")
    with threadpool_limits(1 if len(labels) < SMALL else None, user_api="blas"):
        return _crossfit(
            values, labels, folds, n_folds, candidates, np.sort(np.array(strengths, dtype=np.float64))
        )


def _crossfit(
    values: np.ndarray,
    labels: np.ndarray,
    folds: np.ndarray,
    n_folds: int,
    candidates: np.ndarray,
    grid: np.ndarray,
) -> Crossfit:
    n, n_conditions = labels.shape
    fitted = candidates & two_classes_everywhere(labels, folds, n_folds)
    columns = np.flatnonzero(fitted)
    held_out = np.full((n, n_conditions), np.nan)
    if len(columns) == 0:
        return Crossfit(held_out, _no_heads(values.shape[1], n_conditions))
    truth = np.repeat(labels[:, columns], len(grid), axis=1)
    costs = np.tile(grid, len(columns))

    def logits_without(*left_out: int) -> np.ndarray:
        """[N, K] less the prior, filled in the rows of the folds left out."""
        outside = np.isin(folds, left_out)
        logits = np.full(truth.shape, np.nan)
        if outside.any():
            basis = Basis.of(values[~outside])
            weights, bias = fit(basis, truth[~outside], costs)
            logits[outside] = basis.project(values[outside]) @ weights + bias - log_odds(truth[~outside])
        return logits

    single = np.full(truth.shape, np.nan)
    inner = [np.full(truth.shape, np.nan) for _ in range(n_folds)]
    for k in range(n_folds):
        single = np.where((folds == k)[:, None], logits_without(k), single)
        for j in range(k + 1, n_folds):
            pair = logits_without(k, j)
            inner[k] = np.where((folds == j)[:, None], pair, inner[k])
            inner[j] = np.where((folds == k)[:, None], pair, inner[j])
    for k in range(n_folds):
        here = folds == k
        if here.any():
            chosen, slope, intercept = _choose(inner[k][~here], truth[~here], len(grid))
            intercept = intercept + (target_log_odds(truth) - target_log_odds(truth[~here]))[chosen]
            found = probabilities(single[here][:, chosen], slope, intercept)
            held_out[np.ix_(here, columns)] = np.round(found, DECIMALS)
    chosen, slope, intercept = _choose(single, truth, len(grid))
    basis = Basis.of(values)
    weights, bias = fit(basis, labels[:, columns], costs[chosen])
    bias = bias - log_odds(labels[:, columns])
    heads = _no_heads(values.shape[1], n_conditions, basis, fitted)
    heads.weights[:, columns] = basis.directions @ weights
    for place, found in (
        (heads.bias, bias),
        (heads.slope, slope),
        (heads.intercept, intercept),
        (heads.strength, costs[chosen]),
    ):
        place[columns] = found
    return Crossfit(held_out, heads)


def _choose(
    logits: np.ndarray, truth: np.ndarray, n_strengths: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per condition the column of least calibrated log loss (on a tie the stronger penalty), and its map."""
    slope, intercept = fit_platt(logits, truth)
    losses = log_loss(slope * logits + intercept, truth).reshape(-1, n_strengths)
    chosen = np.arange(len(losses)) * n_strengths + np.argmin(losses, axis=1)
    return chosen, slope[chosen], intercept[chosen]


def log_odds(labels: np.ndarray) -> np.ndarray:
    """Log-odds of the labels of each column; both classes occur."""
    return np.log((labels == 1).sum(axis=0) / (labels == 0).sum(axis=0))


def two_classes_everywhere(labels: np.ndarray, folds: np.ndarray, n_folds: int) -> np.ndarray:
    """Conditions, bool [C], that keep a positive and a negative whichever two folds are left out."""
    counts = np.array(
        [[(labels[folds == k] == value).sum(axis=0) for k in range(n_folds)] for value in (0, 1)]
    )
    if labels.shape[0] == 0:
        return np.zeros(labels.shape[1], dtype=bool)
    largest_two = np.sort(counts, axis=1)[:, -2:].sum(axis=1)
    return (counts.sum(axis=1) - largest_two > 0).all(axis=0)


def _no_heads(
    dim: int, n_conditions: int, basis: Basis | None = None, fitted: np.ndarray | None = None
) -> LinearHeads:
    return LinearHeads(
        mean=np.zeros(dim) if basis is None else basis.mean,
        scale=np.ones(dim) if basis is None else basis.scale,
        weights=np.zeros((dim, n_conditions)),
        bias=np.zeros(n_conditions),
        slope=np.zeros(n_conditions),
        intercept=np.zeros(n_conditions),
        strength=np.zeros(n_conditions),
        fitted=np.zeros(n_conditions, dtype=bool) if fitted is None else fitted,
    )
