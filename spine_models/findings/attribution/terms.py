"""A calibrated head as a sum: logit = constant + one term a route, each linear in that route's study vector.

The study vector is a mean of means, so a term falls apart further: over series, and over their slices. Terms are
measured from the average training study: a slice like the average speaks neither for nor against.

Belongs here: coefficients of loaded heads, and the proof that they add up to what the heads say. Does not belong
here: whom a term is shared out to (``weights``), fitting (``probes``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from spine_models.findings.embeddings.pooling import stack
from spine_models.findings.probes.crossfit import LinearHeads
from spine_models.findings.probes.heads import Heads
from spine_models.findings.probes.studies import ROUTES_OF_SET

TOLERANCE = 1e-4
"""Largest difference of a probability that single-precision pooling explains; beyond it tables do not fit together."""

CHUNK = 8192
"""Vectors in double precision at a time."""


class AttributionError(ValueError):
    """What cannot be explained or judged; the message names the place and the remedy."""


@dataclass(frozen=True)
class Term:
    """What a route adds to the calibrated logits of all conditions: (vector - centre) . weights.

    Attributes:
        centre: average study vector of the training [D].
        weights: [D, C], in calibrated logits per unit of the vector; zero where a condition has no head.
    """

    centre: np.ndarray
    weights: np.ndarray

    def of(self, vectors: np.ndarray) -> np.ndarray:
        """Terms float64 [N, C] of vectors [N, D]."""
        # Centred first: the numbers that are subtracted are large beside what is left. In chunks, as the vectors of
        # a batch in double precision would not fit beside themselves.
        chunks = [
            (vectors[start : start + CHUNK].astype(np.float64) - self.centre) @ self.weights
            for start in range(0, len(vectors), CHUNK)
        ]
        return np.concatenate([np.zeros((0, self.weights.shape[1])), *chunks])


@dataclass(frozen=True)
class Score:
    """The heads of one sequence set as a sum.

    Attributes:
        constants: calibrated logits [C] of the average study.
        terms: by route, in the order of the set.
    """

    constants: np.ndarray
    terms: Mapping[str, Term]


def score_of(heads: Heads, sequence_set: str, widths: Mapping[str, int]) -> Score:
    """The heads of a set, cut into the blocks of its routes.

    Args:
        heads: loaded heads.
        sequence_set: one of ``heads.sets``.
        widths: length of a vector by route.

    Raises:
        AttributionError: blocks that the heads' vectors are not made of.
    """
    held: LinearHeads = heads.sets[sequence_set]
    routes = [route for route in ROUTES_OF_SET[sequence_set] if route in widths]
    if sum(widths[route] for route in routes) != len(held.mean):
        raise AttributionError(
            f"the heads of {sequence_set!r} take {len(held.mean)} numbers, the routes have "
            f"{[widths[route] for route in routes]}: materialise embeddings and probes with one encoder"
        )
    weights = held.weights * np.where(held.fitted, held.slope, 0.0) / held.scale[:, None]
    terms: dict[str, Term] = {}
    start = 0
    for route in routes:
        block = slice(start, start + widths[route])
        terms[route] = Term(held.mean[block], weights[block])
        start = block.stop
    return Score(held.slope * held.bias + held.intercept, terms)


def widths_of(vectors: pl.DataFrame) -> dict[str, int]:
    """Length of a vector by route.

    Raises:
        AttributionError: vectors of several lengths, or with numbers that are not finite.
    """
    widths: dict[str, int] = {}
    for (route,), part in vectors.sort("route").group_by("route", maintain_order=True):
        lengths = part["vector"].list.len().unique()
        if len(lengths) != 1:
            raise AttributionError(
                f"vectors of route {route!r} have several lengths: embed all batches again"
            )
        if not np.isfinite(stack(part["vector"])).all():
            raise AttributionError(
                f"vectors of route {route!r} hold values that are not finite: materialise embeddings again"
            )
        widths[str(route)] = int(lengths[0])
    return widths
