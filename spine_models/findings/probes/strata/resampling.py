"""Intervals over patients that the strata share: paired bootstrap of AUROCs and their means, and Wilson's.

Belongs here: scored studies as arrays, replicates, intervals. Does not belong here: which studies form a stratum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from spine_models.findings.probes.evaluate import FittedSet
from spine_models.findings.probes.scores import INTERVAL, Interval, auroc, patient_draws
from spine_models.findings.probes.studies import StudyLabels

Z95: Final = 1.959963984540054
CHUNK: Final = 4_000_000
"""Replicate weights held at once."""


@dataclass(frozen=True)
class Scored:
    """Studies with labels and held-out probabilities.

    Attributes:
        study_keys, patient_keys: [N].
        labels: int8 [N, C] of 1, 0, -1.
        probabilities: [N, C], NaN in columns without a head.
        unfit: per condition why it has no head, or None.
    """

    study_keys: np.ndarray
    patient_keys: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    unfit: tuple[str | None, ...]

    def where(self, kept: np.ndarray) -> Scored:
        """The studies of a mask, bool [N]."""
        return Scored(
            self.study_keys[kept],
            self.patient_keys[kept],
            self.labels[kept],
            self.probabilities[kept],
            self.unfit,
        )

    @property
    def n_patients(self) -> int:
        """Patients among the studies."""
        return len(np.unique(self.patient_keys))


def scored(found: FittedSet, truth: StudyLabels, evaluation: str) -> Scored:
    """The train studies out of fold (``cv``), or the test studies by the heads of all train studies (``test``)."""
    rows = found.train if evaluation == "cv" else found.test
    at = found.rows[rows]
    if evaluation == "cv":
        chances = found.result.held_out
    elif len(rows) == 0 or not found.result.heads.fitted.any():
        chances = np.full((len(rows), truth.labels.shape[1]), np.nan)
    else:
        chances = found.result.heads.probabilities(found.vectors.values[rows])
    return Scored(
        found.vectors.study_keys[rows], truth.patient_keys[at], truth.labels[at], chances, tuple(found.unfit)
    )


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

    def auroc(self, labels: np.ndarray, chances: np.ndarray, patient_keys: np.ndarray) -> Replicated:
        """AUROC of 0/1 labels [N] with its replicates; both classes must occur."""
        step = max(1, CHUNK // max(1, len(labels)))
        members = np.searchsorted(self.patients, patient_keys)
        parts = [
            auroc(labels, chances, self.draws[start : start + step][:, members].astype(np.float64))
            for start in range(0, len(self.draws), step)
        ]
        return Replicated(float(auroc(labels, chances)[0]), np.concatenate(parts))


@dataclass(frozen=True)
class Replicated:
    """A value and its bootstrap replicates [B], NaN where a replicate has none."""

    value: float
    replicates: np.ndarray

    def __sub__(self, other: Replicated) -> Replicated:
        return Replicated(self.value - other.value, self.replicates - other.replicates)

    def columns(self, name: str) -> dict[str, float | None]:
        """``name``, ``name_low`` and ``name_high`` of a table row."""
        held = percentiles(self)
        low, high = (None if np.isnan(edge) else edge for edge in (held.low, held.high))
        return {name: held.value, f"{name}_low": low, f"{name}_high": high}


def percentiles(given: Replicated) -> Interval:
    """The 95 % percentile interval; NaN edges where no replicate has a value."""
    valid = given.replicates[np.isfinite(given.replicates)]
    if len(valid) == 0:
        return Interval(given.value, float("nan"), float("nan"))
    low, high = np.percentile(valid, INTERVAL)
    return Interval(given.value, float(low), float(high))


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


def condition_aurocs(
    part: Scored, bootstrap: Bootstrap, least: int
) -> tuple[dict[int, Replicated], dict[int, str]]:
    """AUROC of every evaluable condition by column, and the reason of every other."""
    found: dict[int, Replicated] = {}
    reasons: dict[int, str] = {}
    for column, unfit in enumerate(part.unfit):
        kept = part.labels[:, column] >= 0
        label, patients = part.labels[kept, column], part.patient_keys[kept]
        reason = unfit or too_few(label, patients, least)
        if reason is None:
            found[column] = bootstrap.auroc(label, part.probabilities[kept, column], patients)
        else:
            reasons[column] = reason
    return found, reasons


def too_few(label: np.ndarray, patient_keys: np.ndarray, least: int) -> str | None:
    """Why these studies cannot be scored, or None. Counts patients, not studies."""
    for value, name in ((1, "positive"), (0, "negative")):
        count = len(np.unique(patient_keys[label == value]))
        if count < least:
            return f"{count} {name} patients, at least {least} are needed"
    return None


def difference(one: Mapping[int, Replicated], other: Mapping[int, Replicated]) -> Replicated | None:
    """Mean difference over the conditions that both have, or None where they share none."""
    shared = sorted(set(one) & set(other))
    return mean_of([one[c] - other[c] for c in shared]) if shared else None


def wilson(hits: int, n: int) -> Interval:
    """Share with Wilson's 95 % interval (Wilson 1927); NaN for n = 0."""
    if n == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    share = hits / n
    spread = Z95 * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    low, high = (share + Z95**2 / (2 * n) + sign * spread for sign in (-1, 1))
    # Rounding leaves 1e-17 where the exact bound is 0 or 1.
    return Interval(
        share, 0.0 if hits == 0 else float(low / scale), 1.0 if hits == n else float(high / scale)
    )
