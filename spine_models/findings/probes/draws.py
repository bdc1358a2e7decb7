"""A bootstrap over patients: draws that everything compared shares, values with their replicates, and their intervals.

A drawn patient brings all its studies. Two things scored on the same draws are paired: replicate by replicate they
differ by themselves and not by the dice.

Belongs here: draws, differences and gains of replicated values, means over conditions. Does not belong here: single
scores (``scores``), all scores of an evaluation from one sort (``bootstrap``), which studies are scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from spine_models.findings.probes.bootstrap import interval_of, relative
from spine_models.findings.probes.scores import Interval, auroc, patient_draws

CHUNK: Final = 4_000_000
"""Replicate weights held at once."""

Score = Callable[..., np.ndarray]
"""Values [B] of 0/1 labels [N], scores [N] and optional weights [B, N], as ``scores.auroc``."""


@dataclass(frozen=True)
class Bootstrap:
    """Draws of patients, the same for everything that is compared.

    Attributes:
        patients: sorted keys [P].
        draws: multiplicities [B, P].
    """

    patients: np.ndarray
    draws: np.ndarray

    @classmethod
    def of(cls, patient_keys: np.ndarray, replicates: int, seed: Sequence[int]) -> Bootstrap:
        """Draws over the patients among ``patient_keys``."""
        patients = np.unique(patient_keys)
        return cls(patients, patient_draws(len(patients), replicates, seed))

    def weights(self, patient_keys: np.ndarray) -> np.ndarray:
        """Multiplicity of each study [B, N]; every key must be among the patients."""
        return self.draws[:, np.searchsorted(self.patients, patient_keys)]

    def score(
        self, measure: Score, labels: np.ndarray, chances: np.ndarray, patient_keys: np.ndarray
    ) -> Replicated:
        """A score of 0/1 labels [N] with its replicates; both classes must occur."""
        step = max(1, CHUNK // max(1, len(labels)))
        members = np.searchsorted(self.patients, patient_keys)
        parts = [
            measure(labels, chances, self.draws[start : start + step][:, members].astype(np.float64))
            for start in range(0, len(self.draws), step)
        ]
        return Replicated(float(measure(labels, chances)[0]), np.concatenate(parts))

    def auroc(self, labels: np.ndarray, chances: np.ndarray, patient_keys: np.ndarray) -> Replicated:
        """The same of the AUROC."""
        return self.score(auroc, labels, chances, patient_keys)


@dataclass(frozen=True)
class Replicated:
    """A value and its bootstrap replicates [B], NaN where a replicate has none."""

    value: float
    replicates: np.ndarray

    def __sub__(self, other: Replicated) -> Replicated:
        return Replicated(self.value - other.value, self.replicates - other.replicates)

    def gain_over(self, other: Replicated) -> Replicated:
        """Relative gain, NaN where the other is not above zero."""
        return Replicated(
            float(relative(self.value, other.value)), relative(self.replicates, other.replicates)
        )

    @property
    def interval(self) -> Interval:
        """The 95 % percentile interval; NaN edges where no replicate has a value."""
        return interval_of(self.value, self.replicates)

    def columns(self, name: str) -> dict[str, float | None]:
        """``name``, ``name_low`` and ``name_high`` of a table row."""
        held = self.interval
        low, high = (None if np.isnan(edge) else edge for edge in (held.low, held.high))
        return {name: held.value, f"{name}_low": low, f"{name}_high": high}


def mean_of(parts: Sequence[Replicated]) -> Replicated:
    """The mean over conditions; a replicate counts those conditions that it has both classes of."""
    stack = np.stack([part.replicates for part in parts])
    held = np.isfinite(stack)
    counts = held.sum(axis=0)
    sums = np.where(held, stack, 0.0).sum(axis=0)
    # A condition that drops out of a replicate must not shift it: each condition enters by its deviation.
    centre = np.array([part.value for part in parts])
    shift = (np.where(held, centre[:, None], 0.0)).sum(axis=0)
    value = float(centre.mean())
    deviation = np.divide(sums - shift, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return Replicated(value, value + deviation)


def mean_of_whole(parts: Sequence[Replicated]) -> Replicated:
    """The mean over conditions, NaN in replicates that lack any of them."""
    return Replicated(
        float(np.mean([part.value for part in parts])), np.mean([part.replicates for part in parts], axis=0)
    )


def difference(one: Mapping[int, Replicated], other: Mapping[int, Replicated]) -> Replicated | None:
    """Mean difference over the conditions that both have, or None where they share none."""
    shared = sorted(set(one) & set(other))
    return mean_of([one[c] - other[c] for c in shared]) if shared else None
