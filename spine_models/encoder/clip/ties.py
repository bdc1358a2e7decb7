"""Where an answer stands among rivals that are as near as it: every figure is a mean over all orders of the equal ones.

A collapsed embedding then scores chance, neither perfection nor nothing. The mean rank alone does not give it: of nine
equal vectors it is 5, but the answer is among the first five only five times in nine.

Belongs here: from counts to ranks, hits and reciprocal ranks. Does not belong here: similarities, who is a rival of
whom, means over queries.
"""

from __future__ import annotations

from typing import Final

import numpy as np

EQUAL_WITHIN: Final = 1e-9
"""Similarities of float32 unit vectors summed in float64; the same products may be summed in another order."""


def mean_rank(above: np.ndarray, tied: np.ndarray, tied_answers: np.ndarray) -> np.ndarray:
    """Mean rank float64 [N] of the first answer, from 1: of r answers among t rivals it comes after t / (r + 1).

    Args:
        above: int [N], rivals nearer than the best answer.
        tied: int [N], rivals as near as it.
        tied_answers: int [N], answers as near as it, itself among them; at least 1.
    """
    return 1.0 + above + tied / (tied_answers + 1)


def mean_reciprocal(above: np.ndarray, tied: np.ndarray, tied_answers: np.ndarray) -> np.ndarray:
    """Mean of 1 / rank of the first answer, float64 [N]; arguments as of ``mean_rank``."""
    found = 1.0 / (1.0 + above)
    for i in np.flatnonzero(tied > 0):
        t, r = int(tied[i]), int(tied_answers[i])
        passed = np.arange(t + 1)
        # That the first answer comes after at least s rivals, then after exactly s.
        at_least = np.concatenate([[1.0], np.cumprod((t - passed[:t]) / (t + r - passed[:t]))])
        exactly = at_least * r / (t + r - passed)
        found[i] = (exactly / (1.0 + above[i] + passed)).sum()
    return found


def hits(above: np.ndarray, tied: np.ndarray, tied_answers: np.ndarray, k: int) -> np.ndarray:
    """Chance of an answer among the first ``k``, float64 [N]; arguments as of ``mean_rank``."""
    return 1.0 - none_among(tied, tied_answers, np.maximum(k - above, 0), k)


def none_among(rivals: np.ndarray, answers: np.ndarray, places: np.ndarray, most: int) -> np.ndarray:
    """Chance [N] that no answer is in the first ``places`` [N] <= ``most`` of rivals and answers in random order."""
    beyond = np.ones(len(rivals))
    for i in range(most):
        left, m = np.maximum(rivals - i, 0).astype(np.float64), (rivals + answers - i).astype(np.float64)
        step = np.divide(left, m, out=np.zeros(len(m)), where=m > 0)
        beyond *= np.where(i < places, step, 1.0)
    return beyond
