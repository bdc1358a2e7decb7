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

    @property
    def identity(self) -> dict[str, str]:
        """The columns that name it."""
        return {"encoder": self.encoder, "head": self.head, "sequence_set": self.sequence_set}

    def threshold(self, truth: StudyLabels, condition: int, specificity: float) -> float | None:
        """Operating threshold, chosen on the held-out probabilities of the train patients; None without one."""
        if self.unfit[condition] is not None or self.no_cv is not None:
            return None
        labels = truth.labels[self.train, condition]
        found = operating_threshold(labels, self.held_out[:, condition], specificity)
        return found if np.isfinite(found) else None

    def scored(self, truth: StudyLabels, evaluation: str, condition: int) -> Scored:
        """The labelled studies of one evaluation and condition."""
        at = self.train if evaluation == "cv" else self.test
        label = truth.labels[at, condition]
        kept = label >= 0
        usable = self.unfit[condition] is None and not (evaluation == "cv" and self.no_cv)
        chance = self.held_out if evaluation == "cv" else self.tested
        return Scored(
            truth.study_keys[at][kept],
            truth.patient_keys[at][kept],
            label[kept],
            chance[kept, condition] if usable and kept.any() else None,
            self.folds[kept] if evaluation == "cv" else None,
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
    found: FittedSet, encoder: str, sequence_set: str, *, no_cv: str | None = None
) -> Judgement:
    """What the linear heads of a fitted set say; the test studies are judged once, by the final heads."""
    return Judgement(
        encoder,
        "linear",
        sequence_set,
        found.rows[found.train],
        found.rows[found.test],
        found.folds,
        found.result.held_out,
        found.result.heads.probabilities(found.vectors.values[found.test]),
        found.unfit,
        no_cv,
    )
