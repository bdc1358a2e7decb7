"""L2-penalised logistic regression for many conditions and strengths at once, on one decomposed matrix.

For every column the convex objective of scikit-learn's ``LogisticRegression(C=C, penalty="l2")`` is solved:

    0.5 * |w|^2 + C * sum_i log(1 + exp(-y_i (w . x_i + b))),   intercept b not penalised, no class weights.

The penalty is invariant under rotation, so the problem is solved exactly in the basis of the training rows'
singular vectors, at most as many numbers as there are rows. That basis is computed once per set of training
rows and shared by all columns. The solver is Newton's method; its systems are solved by conjugate gradients,
which the basis preconditions almost perfectly.

Belongs here: standardisation, the basis, the solver. Does not belong here: folds, choice of strength,
calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-6
"""Largest gradient entry, relative to 1 + C * N, at which a column counts as solved."""

NEGLIGIBLE = 1e-11
"""Eigenvalues below this share of the largest are rounding, not data."""

MAX_NEWTON = 60
MAX_CONJUGATE = 200


class ConvergenceError(RuntimeError):
    """Newton's method did not reach its tolerance; names how many columns and their strengths."""


@dataclass(frozen=True)
class Basis:
    """Standardised training rows in their own singular basis.

    Attributes:
        mean: [D] of the training rows.
        scale: [D] standard deviations, 1 where a feature is constant.
        directions: [D, R] orthonormal.
        rows: [N, R], the training rows in that basis.
        spectrum: [R] squared singular values.
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    rows: np.ndarray
    spectrum: np.ndarray

    @classmethod
    def of(cls, train: np.ndarray) -> Basis:
        """Decompose ``train`` [N, D] after standardising it by its own mean and deviation.

        NaN is "no number": a column is standardised on the rows that have it, and where it is missing nothing
        remains of it (a standardised zero, which no weight can turn into evidence).
        """
        data = np.asarray(train, dtype=np.float64)
        held = np.isfinite(data)
        counts = np.maximum(held.sum(axis=0), 1)
        mean = np.where(held, data, 0.0).sum(axis=0) / counts
        deviation = np.sqrt((np.where(held, data - mean, 0.0) ** 2).sum(axis=0) / counts)
        scale = np.where(deviation > 1e-12 * (1.0 + np.abs(mean)), deviation, 1.0)
        standard = np.where(held, (data - mean) / scale, 0.0)
        wide = standard.shape[1] > standard.shape[0]
        # The smaller of the two Gram matrices: its eigenvectors are the singular vectors, several times
        # cheaper.
        spectrum, vectors = np.linalg.eigh(standard @ standard.T if wide else standard.T @ standard)
        kept = spectrum > NEGLIGIBLE * max(spectrum.max(initial=0.0), 1e-300)
        spectrum, vectors = spectrum[kept], vectors[:, kept]
        directions = standard.T @ (vectors / np.sqrt(spectrum)) if wide else vectors
        return cls(mean, scale, directions, standard @ directions, spectrum)

    def project(self, values: np.ndarray) -> np.ndarray:
        """Rows [M, D] in the basis, [M, R]; what lies outside it cannot change a logit."""
        return standardise(values, self.mean, self.scale) @ self.directions


def standardise(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """float64 [N, D]: (values - mean) / scale, and nothing (zero after standardising) where there is no number."""
    data = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(data), (data - mean) / scale, 0.0)


def fit(basis: Basis, labels: np.ndarray, strengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve every column to its optimum.

    Args:
        basis: of the N training rows.
        labels: [N, K] of 1, 0 and -1; a row with -1 is no training row of that column. Every column needs at
            least one 1 and one 0.
        strengths: C of each column, > 0 [K].

    Returns:
        Weights in the basis [R, K] and intercepts [K].

    Raises:
        ValueError: a column of one class.
        ConvergenceError: the tolerance was not reached.
    """
    used = (labels >= 0).astype(np.float64)
    truth = (labels == 1).astype(np.float64)
    positives, totals = truth.sum(axis=0), used.sum(axis=0)
    if np.any(positives == 0) or np.any(positives == totals):
        raise ValueError("a column has one class only: leave it out of the fit")
    rows = np.hstack([basis.rows, np.ones((len(basis.rows), 1))])
    penalty = np.ones((rows.shape[1], 1))
    penalty[-1] = 0.0
    squares = np.append(basis.spectrum, float(len(rows)))[:, None]
    weights = np.zeros((rows.shape[1], labels.shape[1]))
    weights[-1] = np.log(positives / (totals - positives))
    active = np.arange(labels.shape[1])
    for _ in range(MAX_NEWTON):
        now, cost = weights[:, active], strengths[active]
        logits = rows @ now
        chance = _sigmoid(logits)
        gradient = penalty * now + cost * (rows.T @ (used[:, active] * chance - truth[:, active]))
        open_ = np.abs(gradient).max(axis=0) > TOLERANCE * (1.0 + cost * len(rows))
        if not open_.any():
            return weights[:-1], weights[-1]
        active, gradient, cost = active[open_], gradient[:, open_], cost[open_]
        curvature = cost * used[:, active] * (chance * (1.0 - chance))[:, open_]
        step = _conjugate_gradients(rows, curvature, penalty, squares, gradient)
        weights[:, active] -= step * _step_lengths(
            rows, weights[:, active], step, gradient, truth[:, active], used[:, active], cost, penalty
        )
    raise ConvergenceError(
        f"{len(active)} probe columns did not converge, strengths {sorted(set(strengths[active]))}"
    )


def _conjugate_gradients(
    rows: np.ndarray, curvature: np.ndarray, penalty: np.ndarray, squares: np.ndarray, gradient: np.ndarray
) -> np.ndarray:
    """Solve (rows' diag(curvature_k) rows + diag(penalty)) step_k = gradient_k for every column k."""
    diagonal = penalty + squares * curvature.mean(axis=0) + 1e-12
    step = np.zeros_like(gradient)
    residual = gradient.copy()
    scaled = residual / diagonal
    direction = scaled.copy()
    energy = (residual * scaled).sum(axis=0)
    # Loose far from the optimum, tight near it: Newton keeps its fast convergence.
    size = np.abs(gradient).max(axis=0)
    bound = size * np.minimum(0.1, np.sqrt(size))
    for _ in range(MAX_CONJUGATE):
        image = rows.T @ (curvature * (rows @ direction)) + penalty * direction
        bend = (direction * image).sum(axis=0)
        length = np.divide(energy, bend, out=np.zeros_like(energy), where=bend > 0)
        step += length * direction
        residual -= length * image
        if np.all(np.abs(residual).max(axis=0) <= bound):
            break
        scaled = residual / diagonal
        renewed = (residual * scaled).sum(axis=0)
        ratio = np.divide(renewed, energy, out=np.zeros_like(energy), where=energy > 0)
        direction = scaled + ratio * direction
        energy = renewed
    return step


def _step_lengths(
    rows: np.ndarray,
    weights: np.ndarray,
    step: np.ndarray,
    gradient: np.ndarray,
    truth: np.ndarray,
    used: np.ndarray,
    cost: np.ndarray,
    penalty: np.ndarray,
) -> np.ndarray:
    """Per column the largest of 1, 1/2, 1/4 ... that lowers the objective enough (Armijo)."""

    def objective(at: np.ndarray, logits: np.ndarray) -> np.ndarray:
        loss = (used * np.logaddexp(0.0, logits) - truth * logits).sum(axis=0)
        return 0.5 * (penalty * at * at).sum(axis=0) + cost * loss

    logits, change = rows @ weights, rows @ step
    start, slope = objective(weights, logits), (gradient * step).sum(axis=0)
    lengths = np.ones(weights.shape[1])
    for _ in range(30):
        value = objective(weights - lengths * step, logits - lengths * change)
        # Near the optimum the decrease is below rounding: allow for it.
        short = value > start - 1e-4 * lengths * slope + 1e-12 * (1.0 + np.abs(start))
        if not short.any():
            break
        lengths = np.where(short, 0.5 * lengths, lengths)
    return lengths


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * logits))
