"""Numbers of the agents."""

from __future__ import annotations

from pydantic import Field

from spine_models.config.section import Section


class GradingSettings(Section):
    """Numbers of the severity grading.

    Attributes:
        min_patients: train patients of a grade below which it is not told apart.
        folds: of the cross-validation, by patient.
        regularisation: inverse penalties that held-out patients choose from.
        bootstrap: draws of patients behind the interval of the balanced accuracy.
    """

    min_patients: int = Field(8, ge=2)
    folds: int = Field(5, ge=3)
    regularisation: tuple[float, ...] = (0.0001, 0.001, 0.01, 0.1)
    bootstrap: int = Field(1000, ge=10)
    seed: int = 0


class AgentSettings(Section):
    """Numbers of the agents.

    Attributes:
        indeterminate: a calibrated probability inside is neither present nor absent.
        definite: present from this probability on is definite, below it probable.
        evidence_slices: central slices of a series that are named as evidence.
        further_confidence: calibrated confidence that a place after the first must have to be claimed too.
        text_slices: slices of the study that are found by a condition's sentence.
        grading: of the severity.
    """

    indeterminate: tuple[float, float] = (0.4, 0.6)
    definite: float = Field(0.9, ge=0, le=1)
    evidence_slices: int = Field(3, ge=1)
    further_confidence: float = Field(0.5, ge=0, le=1)
    text_slices: int = Field(3, ge=1)
    grading: GradingSettings = GradingSettings()
