"""Platt scaling of held-out logits, many columns at once.

Probability = sigmoid(slope * logit + intercept), by maximum likelihood with Platt's smoothed targets (Platt
1999: (P + 1) / (P + 2) for positives and 1 / (Q + 2) for negatives, P and Q their counts), which keep a
perfectly separated column finite. The slope is held positive, so calibration never reverses a head's ranking.

Belongs here: this map and its fit. Does not belong here: where the logits come from; they must be held out.
"""

from __future__ import annotations

import numpy as np

FLAT = 1e-6
"""Logits that spread less are equal but for the solver's tolerance; stretched to a unit they would be noise alone."""

MIN_SLOPE = 0.1
"""Least slope per standard deviation of the logits: held-out noise may ask for a reversed or a flat map."""


def probabilities(logits: np.ndarray, slope: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """Calibrated probabilities [N, K] of logits [N, K]."""
    return 0.5 * (1.0 + np.tanh(0.5 * (slope * logits + intercept)))


def target_log_odds(labels: np.ndarray) -> np.ndarray:
    """Log-odds [K] of the mean smoothed target of each column: the prior that a fitted map carries.

    Args:
        labels: [N, K] of 1, 0 and -1 (left out); both classes in every column.
    """
    positives, negatives = (labels == 1).sum(axis=0), (labels == 0).sum(axis=0)
    mean = positives * (positives + 1.0) / (positives + 2.0) + negatives / (negatives + 2.0)
    mean = mean / (positives + negatives)
    return np.log(mean / (1.0 - mean))


def fit_platt(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept of every column.

    Args:
        logits: held-out [N, K]; ignored where the label is -1.
        labels: [N, K] of 1, 0 and -1; both classes in every column.

    Returns:
        Slopes > 0 [K] and intercepts [K].
    """
    used = (labels >= 0).astype(np.float64)
    positives, totals = (labels == 1).sum(axis=0), used.sum(axis=0)
    targets = (
        np.where(labels == 1, (positives + 1.0) / (positives + 2.0), 1.0 / (totals - positives + 2.0)) * used
    )
    held = np.where(used > 0, logits, 0.0)
    centre = held.sum(axis=0) / totals
    spread = np.sqrt((used * (held - centre) ** 2).sum(axis=0) / totals)
    spread = np.where(spread > FLAT, spread, 1.0)
    standard = used * (held - centre) / spread
    slope, intercept = _newton(standard, targets, used, np.ones_like(spread), free=True)
    low = slope < MIN_SLOPE
    if low.any():
        slope = np.where(low, MIN_SLOPE, slope)
        _, flat = _newton(standard, targets, used, slope, free=False)
        intercept = np.where(low, flat, intercept)
    return slope / spread, intercept - slope * centre / spread


def log_loss(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean negative log likelihood [K] of logits [N, K] over the rows whose label is not -1."""
    used = labels >= 0
    losses = np.logaddexp(0.0, logits) - (labels == 1) * logits
    return np.where(used, losses, 0.0).sum(axis=0) / used.sum(axis=0)


def _newton(
    values: np.ndarray, targets: np.ndarray, used: np.ndarray, slope: np.ndarray, *, free: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum likelihood of the two parameters, or of the intercept alone; the problem is convex."""
    slope = slope.copy()
    mean = targets.sum(axis=0) / used.sum(axis=0)
    intercept = np.log(mean / (1.0 - mean))

    def loss(at: np.ndarray, offset: np.ndarray) -> np.ndarray:
        logits = at * values + offset
        return (used * np.logaddexp(0.0, logits) - targets * logits).sum(axis=0)

    now = loss(slope, intercept)
    for _ in range(100):
        chance = used * probabilities(values, slope, intercept)
        error, curve = chance - targets, chance * (1.0 - chance)
        toward_intercept, bend = error.sum(axis=0), curve.sum(axis=0) + 1e-12
        toward_slope = (error * values).sum(axis=0) if free else np.zeros_like(slope)
        if max(np.abs(toward_slope).max(), np.abs(toward_intercept).max()) < 1e-9 * len(values):
            break
        across, along = (curve * values).sum(axis=0) * free, (curve * values**2).sum(axis=0) + 1e-12
        determinant = np.maximum(along * bend - across**2, 1e-18)
        step_slope = (bend * toward_slope - across * toward_intercept) / determinant
        step_intercept = (along * toward_intercept - across * toward_slope) / determinant
        length = np.ones_like(slope)
        for _ in range(30):
            tried = loss(slope - length * step_slope, intercept - length * step_intercept)
            worse = tried > now + 1e-12 * (1.0 + np.abs(now))
            if not worse.any():
                break
            length = np.where(worse, 0.5 * length, length)
        slope, intercept = slope - length * step_slope, intercept - length * step_intercept
        now = loss(slope, intercept)
    return slope, intercept
