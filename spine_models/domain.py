"""The field's vocabulary: routes, contrasts, planes, regions, levels, statuses, splits and the conditions.

Belongs here: names that two or more stages must spell alike, and the versioned condition list.
Does not belong here: behaviour of any single stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import yaml


class Route(StrEnum):
    """Encoder that a series is sent to."""

    T1 = "t1"
    T2 = "t2"
    OTHER = "other"


class Contrast(StrEnum):
    """Contrast family of a series."""

    T1 = "T1"
    T1_CONTRAST = "T1+C"
    T2 = "T2"
    T2_FAT_SAT = "T2-FS"
    STIR = "STIR"
    DIXON_IN = "Dixon-in"
    DIXON_OPPOSED = "Dixon-opposed"
    DIXON_WATER = "Dixon-water"
    DIXON_FAT = "Dixon-fat"
    PD = "PD"
    T2_STAR = "T2*"
    DWI = "DWI"
    ADC = "ADC"
    MT = "MT"
    LOCALIZER = "localizer"
    DERIVED = "derived"
    OTHER = "other"


ROUTE_OF_CONTRAST: Final[dict[Contrast, Route]] = {
    Contrast.T1: Route.T1,
    Contrast.T2: Route.T2,
    Contrast.T2_FAT_SAT: Route.T2,
    Contrast.STIR: Route.T2,
    Contrast.DIXON_IN: Route.T2,
    Contrast.DIXON_OPPOSED: Route.T2,
    Contrast.DIXON_WATER: Route.T2,
    Contrast.DIXON_FAT: Route.T2,
} | dict.fromkeys(
    (
        Contrast.T1_CONTRAST,
        Contrast.PD,
        Contrast.T2_STAR,
        Contrast.DWI,
        Contrast.ADC,
        Contrast.MT,
        Contrast.LOCALIZER,
        Contrast.DERIVED,
        Contrast.OTHER,
    ),
    Route.OTHER,
)
"""Encoder of a contrast family. T1 after contrast is not T1: enhancement would teach another anatomy."""


class Plane(StrEnum):
    """Imaging plane by the slice normal in patient coordinates."""

    SAGITTAL = "sagittal"
    AXIAL = "axial"
    CORONAL = "coronal"
    OBLIQUE = "oblique"
    UNKNOWN = "unknown"


class Region(StrEnum):
    """Body region. SPINE is a spine of which the part is not known; OTHER is not a spine."""

    CERVICAL = "cervical"
    THORACIC = "thoracic"
    LUMBAR = "lumbar"
    SPINE = "spine"
    OTHER = "other"
    UNKNOWN = "unknown"


VERTEBRAE: Final[tuple[str, ...]] = (
    *(f"C{i}" for i in range(1, 8)),
    *(f"T{i}" for i in range(1, 13)),
    *(f"L{i}" for i in range(1, 6)),
    "S1",
)
DISCS: Final[tuple[str, ...]] = tuple(f"{upper}-{lower}" for upper, lower in pairwise(VERTEBRAE[1:]))
"""Disc levels C2-C3 .. L5-S1, upper vertebra first, both letters written."""

DISCS_OF_REGION: Final[dict[Region, tuple[str, ...]]] = {
    Region.CERVICAL: tuple(d for d in DISCS if d.startswith("C")),
    Region.THORACIC: tuple(d for d in DISCS if d.startswith("T")),
    Region.LUMBAR: tuple(d for d in DISCS if d.startswith("L")),
}


class Status(StrEnum):
    """What a report says of a condition."""

    PRESENT = "present"
    ABSENT = "absent"
    AMBIGUOUS = "ambiguous"
    NOT_MENTIONED = "not_mentioned"


TERNARY: Final[dict[Status, int]] = {
    Status.PRESENT: 1,
    Status.ABSENT: 0,
    Status.NOT_MENTIONED: 0,
    Status.AMBIGUOUS: -1,
}
"""Label of a status; -1 is left out of training and evaluation, never turned into a negative."""


class Side(StrEnum):
    """Side of the patient, never of the image."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"
    CENTRAL = "central"


class Severity(StrEnum):
    """Severity as reports grade it."""

    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


class Split(StrEnum):
    """A patient's split for ever; OUTSIDE holds slices that are embedded but never trained on."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    OUTSIDE = "outside"


class Outcome(StrEnum):
    """What became of one inbox file."""

    RELEASED = "released"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class Condition:
    """One of the conditions of ``conditions.yaml``."""

    key: str
    name: str
    category: str


@lru_cache(maxsize=1)
def conditions() -> tuple[Condition, ...]:
    """The versioned conditions in file order (17 in version 1)."""
    document = yaml.safe_load((Path(__file__).parent / "conditions.yaml").read_text(encoding="utf-8"))
    return tuple(Condition(c["key"], c["name"], c["category"]) for c in document["conditions"])


def condition_keys() -> tuple[str, ...]:
    """Keys of all conditions in file order."""
    return tuple(condition.key for condition in conditions())


def cohort_of(batch_key: str) -> str:
    """Cohort of a batch: its key without the running number (``rsna-0001`` is of ``rsna``)."""
    return batch_key.rpartition("-")[0] or batch_key
