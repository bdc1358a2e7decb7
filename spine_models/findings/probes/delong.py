"""DeLong's test of two AUROCs on the same studies, with patients who have several.

The structural components of an AUROC (DeLong, DeLong, Clarke-Pearson, Biometrics 44, 1988) come from midranks in
O(N log N) (Sun and Xu, IEEE Signal Processing Letters 21, 2014). Studies of one patient are not independent: their
components are summed by patient before the variance is taken (Obuchowski, Biometrics 53, 1997). With one study a
patient this is DeLong's own variance.

Belongs here: this test. Does not belong here: the bootstrap (``bootstrap``), which pairs are tested (``compare``).
"""

from __future__ import annotations

import math

import numpy as np


def components(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Structural component of every study, float64 [N].

    Of a positive: the share of negatives that it beats; of a negative: the share of positives that beat it; ties
    half. Their mean over either class is the AUROC.
    """
    positive = labels == 1
    ranks = _midranks(scores)
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    found = np.empty(len(scores))
    found[positive] = (ranks[positive] - _midranks(scores[positive])) / n_negative
    found[~positive] = 1.0 - (ranks[~positive] - _midranks(scores[~positive])) / n_positive
    return found


def delong(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, patients: np.ndarray
) -> tuple[float, float, float]:
    """Difference of two AUROCs, its standard error, and the two-sided p of no difference.

    Args:
        labels: 0 or 1 [N], both present.
        first, second: scores of the same studies [N]; the difference is first less second.
        patients: number of each study's patient, int [N].

    Returns:
        Difference, standard error and p. Two scores that rank every study alike have error 0 and p 1; p is NaN
        where a class has one patient only, since a variance between patients needs two.
    """
    parts = components(labels, first) - components(labels, second)
    positive = labels == 1
    difference = float(parts[positive].mean())
    _, member = np.unique(patients, return_inverse=True)
    n_patients = int(member.max()) + 1
    residuals, members = [], []
    for held in (positive, ~positive):
        centred = np.bincount(member[held], weights=parts[held] - difference, minlength=n_patients)
        residuals.append(centred / held.sum())
        members.append(len(np.unique(member[held])))
    if min(members) < 2:
        return difference, float("nan"), float("nan")
    variance = sum(
        count / (count - 1) * float(part @ part) for count, part in zip(members, residuals, strict=True)
    ) + 2.0 * n_patients / (n_patients - 1) * float(residuals[0] @ residuals[1])
    error = math.sqrt(max(variance, 0.0))
    if error < 1e-12:
        return difference, 0.0, 1.0 if abs(difference) < 1e-12 else 0.0
    return difference, error, math.erfc(abs(difference) / error / math.sqrt(2.0))


def _midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing the mean of theirs, float64 [N]."""
    _, member, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - 0.5 * (counts - 1))[member]
