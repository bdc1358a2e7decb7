"""A calibrated head as a sum: logit = constant + one term a route, each linear in that route's study vector.

The study vector is a mean of means, so a term falls apart further: over series, and over their slices. Terms are
measured from the average of the training studies: a slice like the average speaks neither for nor against. The constant
is what the heads say of the average study with the same routes.

Belongs here: coefficients of loaded heads, and the proof that they add up to what the heads say. Does not belong
here: whom a term is shared out to (``weights``), fitting (``probes``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def terms_of(heads: Heads, sequence_set: str, widths: Mapping[str, int]) -> dict[str, Term]:
    """The heads of a set, cut into the blocks of its routes.

    Args:
        heads: loaded heads.
        sequence_set: one of ``heads.sets``.
        widths: length of a vector by route.

    Raises:
        AttributionError: blocks that the heads' vectors are not made of.
    """
    held: LinearHeads = heads.sets[sequence_set]
    layout = _layout(heads, sequence_set, widths)
    if any(widths.get(route, width) != width for route, width in layout) or (
        sum(width for _, width in layout) > len(held.mean)
    ):
        raise AttributionError(
            f"the heads of {sequence_set!r} do not take the vectors of {', '.join(widths)}: materialise "
            "embeddings and probes with one encoder"
        )
    weights = held.weights * np.where(held.fitted, held.slope, 0.0) / held.scale[:, None]
    terms: dict[str, Term] = {}
    start = 0
    for route, width in layout:
        block = slice(start, start + width)
        terms[route] = Term(held.mean[block], weights[block])
        start = block.stop
    return terms


def constants(
    heads: Heads, sequence_set: str, routes: Sequence[str], terms: Mapping[str, Term]
) -> np.ndarray:
    """Calibrated logits [C] of the average study with exactly these routes, as the heads themselves give them.

    Whatever the heads add for a route that is missing is in it. NaN where they judge no such study by this set.
    """
    average = pl.DataFrame(
        [
            {
                "study_key": "average",
                "route": route,
                "model_version": heads.model_versions[route],
                "preprocessing_version": heads.preprocessing_versions[route],
                "vector": terms[route].centre.astype(np.float32).tolist(),
            }
            for route in routes
        ],
        schema_overrides={"vector": pl.List(pl.Float32)},
    )
    said = heads.predict(average).filter(pl.col("sequence_set") == sequence_set)
    found = dict(said.select("condition", "probability").iter_rows())
    at = np.array([found.get(name, np.nan) for name in heads.card["conditions"]], dtype=np.float64)
    return np.log(at) - np.log1p(-at)


def _layout(heads: Heads, sequence_set: str, widths: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Blocks, route and width, that start a set's vector; what may follow them belongs to no route."""
    told = getattr(heads, "layouts", {}).get(sequence_set)
    return told or tuple((route, widths[route]) for route in ROUTES_OF_SET[sequence_set] if route in widths)


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
