"""What one encoder, head and sequence set says of the labelled studies, before any score.

Belongs here: held-out and test probabilities side by side with their labels, one condition at a time. Does not belong
here: fitting (``fitting``, ``mil``), scores (``bootstrap``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from spine_models.findings.probes.bootstrap import operating_threshold
from spine_models.findings.probes.fitting import FittedSet
from spine_models.findings.probes.studies import StudyLabels
from spine_models.findings.probes.tables import PREDICTIONS

EVALUATIONS: Final = ("cv", "test")

CV: Final = "cv"
SEEN: Final = "seen"
VAL: Final = "val"
"""Predictions that calibrate and are never scored: out of fold of vectors that saw reports, and of val patients."""


_ROUNDING: Final = 1e-9


class OperatingPoint(NamedTuple):
    """A threshold, and the predictions that it was chosen on: ``cv``, ``val`` or ``seen``; both None without one."""

    threshold: float | None
    chosen_on: str | None


NO_POINT: Final = OperatingPoint(None, None)


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

    def operating_point(self, truth: StudyLabels, condition: int, specificity: float) -> OperatingPoint:
        """The threshold of a specificity, and whose probabilities it was chosen on.

        These are the held-out ones of the train patients. Where their vectors may carry their own reports, negatives
        look more negative than any new patient's will, and the threshold would be too low: there the val patients
        choose it, if enough of them are negative for a share of ``1 - specificity`` to be one of them (10 patients at
        0.9). With fewer it is the held-out ones after all, and ``chosen_on`` says so: the specificity is not kept then.
        """
        if self.unfit[condition] is not None:
            return NO_POINT
        if self.no_cv is None:
            held, chosen_on = self.scored(truth, CV, condition), CV
        else:
            parts = self.calibrating(truth, condition)
            least = ceil(1 / (1 - specificity) - _ROUNDING)
            enough = VAL in parts and parts[VAL].negative_patients >= least
            held, chosen_on = parts.get(VAL if enough else SEEN), VAL if enough else SEEN
        if held is None or held.probability is None:
            return NO_POINT
        found = operating_threshold(held.label, held.probability, specificity)
        return OperatingPoint(found, chosen_on) if np.isfinite(found) else NO_POINT

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

    @property
    def negative_patients(self) -> int:
        """Patients with a study that is labelled 0."""
        return len(np.unique(self.patient_keys[self.label == 0]))

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
