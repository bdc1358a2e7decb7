"""From scores to a probability that can be believed: a temperature, then a monotone map of the top probability.

Belongs here: the map, its fit on held-out examples, and the figures of reliability.
Does not belong here: what the scores come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

_CEILING: Final = 0.995
_FLOOR: Final = 0.02


@dataclass(frozen=True)
class Calibration:
    """A temperature and the knots of a monotone map from top probability to the share that was right."""

    temperature: float
    raw: tuple[float, ...]
    right: tuple[float, ...]

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """``[N, C]`` softmax of scores ``[N, C]`` at the temperature; rows add up to one."""
        scaled = scores / self.temperature
        scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return scaled / scaled.sum(axis=1, keepdims=True)

    def confidence(self, top: np.ndarray) -> np.ndarray:
        """The share right ``[N]`` of answers with the top probability ``[N]``."""
        return np.interp(top, self.raw, self.right)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers for a card."""
        return {"temperature": self.temperature, "raw": list(self.raw), "right": list(self.right)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Calibration:
        """What `to_json` gave."""
        return cls(float(document["temperature"]), tuple(document["raw"]), tuple(document["right"]))


def fit_calibration(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> Calibration:
    """Temperature by likelihood on held-out scores ``[N, C]`` with class indices ``[N]``, then an isotonic map.

    The map never gives more than 0.995: a few thousand held-out examples cannot show more.
    """
    from scipy.optimize import minimize_scalar
    from sklearn.isotonic import IsotonicRegression

    def loss(log_temperature: float) -> float:
        p = Calibration(float(np.exp(log_temperature)), (0.0, 1.0), (0.0, 1.0)).probabilities(scores)
        return float(-(weights * np.log(p[np.arange(len(p)), truth] + 1e-12)).sum() / weights.sum())

    temperature = round(float(np.exp(minimize_scalar(loss, bounds=(-1.5, 2.5), method="bounded").x)), 4)
    p = Calibration(temperature, (0.0, 1.0), (0.0, 1.0)).probabilities(scores)
    top, right = p.max(axis=1), (p.argmax(axis=1) == truth).astype(float)
    knots = np.array([0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.97, 0.985, 0.995, 1.0])
    fitted = IsotonicRegression(y_min=_FLOOR, y_max=_CEILING, out_of_bounds="clip")
    # Two invented answers at each end keep a stretch without held-out examples from claiming certainty.
    fitted.fit(
        np.concatenate([top, [0.0, 1.0, 1.0]]),
        np.concatenate([right, [0.0, 0.0, 1.0]]),
        sample_weight=np.concatenate([weights, [1.0, 0.5, 0.5]]),
    )
    values = fitted.predict(knots)
    return Calibration(temperature, tuple(knots.tolist()), tuple(round(float(v), 4) for v in values))


def expected_calibration_error(confidence: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Mean distance between confidence and share right over equally wide bins, weighted by their answers."""
    c, r = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
    if not len(c):
        return float("nan")
    index = np.minimum((c * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = index == b
        if inside.any():
            total += inside.mean() * abs(c[inside].mean() - r[inside].mean())
    return float(total)
