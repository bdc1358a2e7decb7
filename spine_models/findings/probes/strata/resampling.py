"""Scored studies of a stratum: which conditions can be scored, their AUROCs on shared draws, and Wilson's interval.

Belongs here: scored studies as arrays. Does not belong here: draws, replicates and means (``probes.draws``), which
studies form a stratum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from spine_models.findings.probes.draws import Bootstrap, Replicated
from spine_models.findings.probes.evaluate import FittedSet
from spine_models.findings.probes.scores import Interval
from spine_models.findings.probes.studies import StudyLabels

Z95: Final = 1.959963984540054


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
        """The studies of a mask bool [N], or of indices in their order."""
        return Scored(
            self.study_keys[kept],
            self.patient_keys[kept],
            self.labels[kept],
            self.probabilities[kept],
            self.unfit,
        )

    def unscored(self, column: int, least: int) -> str | None:
        """Why a condition cannot be scored, or None: no head, or too few patients of either class."""
        kept = self.labels[:, column] >= 0
        return self.unfit[column] or too_few(self.labels[kept, column], self.patient_keys[kept], least)

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


def condition_aurocs(
    part: Scored, bootstrap: Bootstrap, least: int
) -> tuple[dict[int, Replicated], dict[int, str]]:
    """AUROC of every evaluable condition by column, and the reason of every other."""
    found: dict[int, Replicated] = {}
    reasons: dict[int, str] = {}
    for column in range(part.labels.shape[1]):
        if (reason := part.unscored(column, least)) is not None:
            reasons[column] = reason
            continue
        kept = part.labels[:, column] >= 0
        found[column] = bootstrap.auroc(
            part.labels[kept, column], part.probabilities[kept, column], part.patient_keys[kept]
        )
    return found, reasons


def too_few(label: np.ndarray, patient_keys: np.ndarray, least: int) -> str | None:
    """Why these studies cannot be scored, or None. Counts patients, not studies."""
    for value, name in ((1, "positive"), (0, "negative")):
        count = len(np.unique(patient_keys[label == value]))
        if count < least:
            return f"{count} {name} patients, at least {least} are needed"
    return None


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
