"""What one encoder, head and sequence set says of the labelled studies, before any score.

Belongs here: held-out and test probabilities side by side with their labels, one condition at a time. Does not belong
here: fitting (``fitting``, ``mil``), scores (``bootstrap``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.findings.probes.bootstrap import operating_threshold
from spine_models.findings.probes.fitting import FittedSet
from spine_models.findings.probes.studies import StudyLabels
from spine_models.findings.probes.tables import PREDICTIONS

EVALUATIONS: Final = ("cv", "test")

SEEN: Final = "seen"
VAL: Final = "val"
"""Predictions that calibrate and are never scored: out of fold of vectors that saw reports, and of val patients."""


@dataclass(frozen=True)
class Judgement:
    """Probabilities of one encoder, head and sequence set.

    Attributes:
        encoder, head, sequence_set: as in the tables.
        train, test: rows of the labels [N_train], [N_test].
        folds: of the train rows.
        held_out: out-of-fold probabilities [N_train, C].
        tested: [N_test, C].
        unfit: per condition why there is no head, or None.
        no_cv: why the held-out probabilities are no evaluation, or None.
        val: rows of the labels [N_val] of val patients, or None where nothing is calibrated despite ``no_cv``.
        validated: [N_val, C], by the final heads.
    """

    encoder: str
    head: str
    sequence_set: str
    train: np.ndarray
    test: np.ndarray
    folds: np.ndarray
    held_out: np.ndarray
    tested: np.ndarray
    unfit: list[str | None]
    no_cv: str | None = None
    val: np.ndarray | None = None
    validated: np.ndarray | None = None

    @property
    def identity(self) -> dict[str, str]:
        """The columns that name it."""
        return {"encoder": self.encoder, "head": self.head, "sequence_set": self.sequence_set}

    def threshold(self, truth: StudyLabels, condition: int, specificity: float) -> float | None:
        """Operating threshold, chosen on the held-out probabilities of the train patients; None without one.

        Held-out probabilities that are no evaluation still set it where they calibrate (``val`` is given).
        """
        if self.unfit[condition] is not None or (self.no_cv is not None and self.val is None):
            return None
        labels = truth.labels[self.train, condition]
        found = operating_threshold(labels, self.held_out[:, condition], specificity)
        return found if np.isfinite(found) else None

    def scored(self, truth: StudyLabels, evaluation: str, condition: int) -> Scored:
        """The labelled studies of one evaluation and condition."""
        if evaluation == "cv":
            return self._of(truth, condition, self.train, None if self.no_cv else self.held_out, self.folds)
        return self._of(truth, condition, self.test, self.tested, None)

    def calibrating(self, truth: StudyLabels, condition: int) -> dict[str, Scored]:
        """By ``SEEN`` and ``VAL`` what thresholds may be drawn from where there is no cross-validation."""
        if self.no_cv is None or self.val is None or self.unfit[condition] is not None:
            return {}
        found = {
            SEEN: self._of(truth, condition, self.train, self.held_out, self.folds),
            VAL: self._of(truth, condition, self.val, self.validated, None),
        }
        return {name: scored for name, scored in found.items() if scored.probability is not None}

    def _of(
        self,
        truth: StudyLabels,
        condition: int,
        at: np.ndarray,
        chance: np.ndarray | None,
        folds: np.ndarray | None,
    ) -> Scored:
        label = truth.labels[at, condition]
        kept = label >= 0
        usable = chance is not None and self.unfit[condition] is None and kept.any()
        return Scored(
            truth.study_keys[at][kept],
            truth.patient_keys[at][kept],
            label[kept],
            chance[kept, condition] if usable else None,
            None if folds is None else folds[kept],
        )


@dataclass(frozen=True)
class Scored:
    """Labelled studies of one evaluation and condition; probability is None where there is none to score."""

    study_keys: np.ndarray
    patient_keys: np.ndarray
    label: np.ndarray
    probability: np.ndarray | None
    fold: np.ndarray | None

    def frame(self, identity: dict[str, str]) -> pl.DataFrame:
        """probes.PREDICTIONS."""
        columns: dict[str, object] = {
            "study_key": self.study_keys.tolist(),
            "patient_key": self.patient_keys.tolist(),
            "fold": [None] * len(self.label) if self.fold is None else self.fold.tolist(),
            "label": self.label.tolist(),
            "probability": self.probability,
        }
        frame = pl.DataFrame(columns, schema={name: PREDICTIONS[name] for name in columns})
        return frame.with_columns(pl.lit(value).alias(name) for name, value in identity.items()).select(
            *PREDICTIONS
        )


def linear_judgement(
    found: FittedSet,
    encoder: str,
    sequence_set: str,
    *,
    no_cv: str | None = None,
    calibrates: bool = False,
) -> Judgement:
    """What the linear heads of a fitted set say; the test studies are judged once, by the final heads.

    ``calibrates`` keeps the predictions that thresholds are drawn from where there is no cross-validation.
    """
    heads, values = found.result.heads, found.vectors.values
    return Judgement(
        encoder,
        "linear",
        sequence_set,
        found.rows[found.train],
        found.rows[found.test],
        found.folds,
        found.result.held_out,
        heads.probabilities(values[found.test]),
        found.unfit,
        no_cv,
        found.rows[found.val] if calibrates else None,
        heads.probabilities(values[found.val]) if calibrates else None,
    )
