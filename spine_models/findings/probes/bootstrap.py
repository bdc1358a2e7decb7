"""Every score of one evaluation with its bootstrap replicates over patients, from one sort of the studies.

The scores: AUROC (Mann-Whitney, ties half), AUPRC (average precision), Brier score, expected calibration error, and
sensitivity at a fixed specificity. A drawn patient brings all its studies. Weights lie as [N, B], one column a
replicate, so that every cumulative sum runs over whole rows.

The sensitivity's threshold is defined on the scored negatives: the lowest score at which at least the asked share of
negatives lies strictly below, a study being called positive at or above it. Tied studies stand on one side together,
so the specificity reached is never less than the one asked for. Each replicate finds its own threshold.

Bins of the calibration error are those of the sample, in every replicate. A resample's error exceeds the sample's by
sampling noise; its interval is moved down by that bias (mean of the replicates less the value), and not below zero.

Belongs here: values and replicates. Does not belong here: draws and single scores (``scores``), comparisons of
encoders (``compare``), which studies are scored (``evaluate``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from spine_models.findings.probes.scores import INTERVAL, Interval, bin_edges

SCORES: Final = ("auroc", "auprc", "brier", "ece", "sensitivity")
CHUNK: Final = 2_000_000
"""Weights held at once, so that memory does not grow with replicates times studies."""
SLACK: Final = 1e-9
"""A specificity may miss the one asked for by rounding alone."""


@dataclass(frozen=True)
class Replicates:
    """Scores of one (condition, encoder, sequence set, evaluation).

    Attributes:
        values: score by name, on the studies as they are.
        draws: by name float64 [B], NaN where a replicate has one class only.
    """

    values: Mapping[str, float]
    draws: Mapping[str, np.ndarray]

    def interval(self, score: str) -> Interval:
        """Value with its 95 % percentile interval over patients."""
        value, draws = self.values[score], self.draws[score]
        if score != "ece":
            return interval_of(value, draws)
        shifted = interval_of(value, draws - (np.nanmean(draws) - value))
        return Interval(value, max(0.0, shifted.low), min(1.0, shifted.high))


def interval_of(value: float, draws: np.ndarray) -> Interval:
    """Percentiles of the finite replicates; NaN where there is none."""
    valid = draws[np.isfinite(draws)]
    if len(valid) == 0:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.percentile(valid, INTERVAL)
    return Interval(value, float(low), float(high))


def relative(ours: np.ndarray | float, theirs: np.ndarray | float) -> np.ndarray:
    """ours / theirs - 1 in float64, NaN where ``theirs`` is not above zero: nothing is gained over nothing."""
    top, bottom = np.broadcast_arrays(np.asarray(ours, np.float64), np.asarray(theirs, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0) - 1.0


def replicate(
    labels: np.ndarray,
    probabilities: np.ndarray,
    patients: np.ndarray,
    weights: np.ndarray,
    *,
    specificity: float,
) -> Replicates:
    """All scores and their replicates.

    Args:
        labels: 0 or 1 [N], both present.
        probabilities: finite [N].
        patients: row of ``weights`` of each study, int [N].
        weights: how often each patient is drawn, [P, B] (``scores.patient_draws`` transposed).
        specificity: at which sensitivity is read.
    """
    order = np.argsort(probabilities, kind="stable")
    truth, chance, rows = labels[order].astype(np.float64), probabilities[order], patients[order]
    starts = np.flatnonzero(np.concatenate([[True], chance[1:] != chance[:-1]]))
    member = np.searchsorted(bin_edges(chance), chance, side="right")
    gaps = np.zeros((member.max() + 1, len(chance)))
    gaps[member, np.arange(len(chance))] = chance - truth
    sums = np.vstack([np.ones(len(chance)), (chance - truth) ** 2, gaps])

    def scores(weight: np.ndarray) -> np.ndarray:
        """float64 [5, B]."""
        total, squares, *bins = sums @ weight
        positive = weight * truth[:, None]
        negative = weight - positive
        if len(starts) < len(chance):
            positive, negative = (np.add.reduceat(part, starts, axis=0) for part in (positive, negative))
        return np.vstack(
            [
                *_ranked(positive, negative, specificity),
                squares / np.maximum(total, 1.0),
                np.abs(bins).sum(axis=0) / np.maximum(total, 1.0),
            ]
        )

    names = ("auroc", "auprc", "sensitivity", "brier", "ece")
    step = max(1, CHUNK // max(1, len(labels)))
    held = [
        scores(np.take(weights[:, at : at + step], rows, axis=0).astype(np.float64))
        for at in range(0, weights.shape[1], step)
    ]
    draws = np.hstack(held) if held else np.zeros((len(names), 0))
    draws[:, np.isnan(draws[0])] = np.nan
    values = scores(np.ones((len(chance), 1)))[:, 0]
    return Replicates(
        {name: float(value) for name, value in zip(names, values, strict=True)},
        dict(zip(names, draws, strict=True)),
    )


def operating_threshold(labels: np.ndarray, probabilities: np.ndarray, specificity: float) -> float:
    """The lowest probability at which at least that share of the negatives lies strictly below.

    A study is called positive at or above it. Infinite where no scored probability is high enough (the highest is
    a negative's and too common): then nothing is called positive.

    Args:
        labels: 1, 0, or -1 (left out) [N].
        probabilities: finite where labelled [N].
        specificity: in 0 .. 1.
    """
    negatives = np.sort(probabilities[labels == 0])
    scored = np.unique(probabilities[labels >= 0])
    if len(negatives) == 0 or len(scored) == 0:
        return float("inf")
    below = np.searchsorted(negatives, scored, side="left") / len(negatives)
    reached = np.flatnonzero(below >= specificity - SLACK)
    return float(scored[reached[0]]) if len(reached) else float("inf")


def _ranked(
    positive: np.ndarray, negative: np.ndarray, specificity: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AUROC, average precision and sensitivity [B] of weights at ascending thresholds [G, B]."""
    hits, alarms = np.cumsum(positive, axis=0), np.cumsum(negative, axis=0)
    positives, negatives = hits[-1].copy(), alarms[-1].copy()
    one_class = (positives == 0) | (negatives == 0)
    some, none = np.where(one_class, 1.0, positives), np.where(one_class, 1.0, negatives)
    below = alarms - negative
    # From here on at or above each threshold rather than at or below it.
    hits -= positive
    hit = np.subtract(positives, hits, out=hits)
    called = hit + (negatives - below)
    precision = np.divide(hit, called, out=np.zeros_like(hit), where=called > 0)
    area = (positive * (below + 0.5 * negative)).sum(axis=0) / (some * none)
    average = (positive * precision).sum(axis=0) / some
    short = (below < (specificity - SLACK) * none).sum(axis=0)
    reached = np.minimum(short, len(hit) - 1)
    sensitivity = np.where(short < len(hit), hit[reached, np.arange(hit.shape[1])], 0.0) / some
    return tuple(np.where(one_class, np.nan, found) for found in (area, average, sensitivity))
