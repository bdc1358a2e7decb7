"""Numbers of the localization."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from spine_models.config.section import Section

POINT_EDGES_MM: Final = {"canal": 24.0, "neuroforaminal": 18.0, "subarticular": 16.0}


class LevelwiseSettings(Section):
    """Numbers of the heads that judge every level of a study.

    Attributes:
        height_mm: of the patch around a level whose appearance is read.
        width_mm: of the same.
        lateral_mm: slices farther from the midline belong to a side.
        components: directions of the levels' appearance that heads may use.
        penalty: of the squared weights, per train place, in units of the first component's deviation.
        named: places that are flagged, as a share of those that train reports name, out of fold.
        min_positive: train places with a condition below which it gets no head.
        min_patients: train patients with it below which it gets no head.
        max_studies: train studies that heads are fitted on; of val and test a quarter as many are scored.
        max_places: train places that the components are found on.
        folds: of the train patients, for predictions out of fold.
        shown: places per study and condition that are published beside the flagged ones.
    """

    height_mm: float = Field(50.0, gt=0)
    width_mm: float = Field(130.0, gt=0)
    lateral_mm: float = Field(8.0, gt=0)
    components: int = Field(400, ge=1)
    penalty: float = Field(0.0003, gt=0)
    named: float = Field(0.8, gt=0, le=1)
    min_positive: int = Field(8, ge=2)
    min_patients: int = Field(5, ge=2)
    max_studies: int = Field(4000, ge=1)
    max_places: int = Field(20000, ge=10)
    folds: int = Field(5, ge=2)
    shown: int = Field(1, ge=1)


class LocalizationSettings(Section):
    """Numbers of the localization.

    Attributes:
        point_edges_mm: edge of the square around an annotated point, by condition; ``point_edge_mm`` for others.
        min_patients: train patients with an annotated slice below which a condition is not learned.
        max_studies: annotated studies of a condition and split that are read.
        max_slices: annotated slices of a condition and split whose patch tokens are read.
        negatives: patches without finding that are learned from, a slice.
        strengths: inverse penalties that held-out patients choose from, for slices and for heat maps.
        ridges: penalties of the box regression, as shares of the features' total variance, and of the levels.
        weak_share: share of a slice's positive evidence that a weak box has to hold.
        min_probability: least probability of a condition at which a study is searched, unless its operating point
            is lower.
        slices: slices reported of a study and condition.
        choosing: share of the train patients that choose, beside those of validation, in a first fit without them.
        min_hits: hits and misses on validation patients below which confidences stay uncalibrated.
        level_confidence: probability of the likeliest level below which it is called uncertain.
        midline_mm: a finding nearer to the midline has no side.
        levelwise: of the heads that judge every level.
    """

    point_edges_mm: dict[str, float] = POINT_EDGES_MM
    point_edge_mm: float = Field(20.0, gt=0)
    min_patients: int = Field(10, ge=2)
    max_studies: int = Field(600, ge=1)
    max_slices: int = Field(1500, ge=1)
    negatives: int = Field(24, ge=1)
    strengths: tuple[float, ...] = (0.000001, 0.00001, 0.0001, 0.001, 0.01)
    ridges: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0)
    weak_share: float = Field(0.5, gt=0, le=1)
    min_probability: float = Field(0.5, ge=0, le=1)
    slices: int = Field(3, ge=1)
    choosing: float = Field(0.33, ge=0, lt=1)
    min_hits: int = Field(5, ge=1)
    level_confidence: float = Field(0.7, gt=0, le=1)
    midline_mm: float = Field(4.0, ge=0)
    bootstrap: int = Field(1000, ge=10)
    seed: int = 0
    levelwise: LevelwiseSettings = LevelwiseSettings()
