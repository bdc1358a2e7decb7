"""Thousands of headers without pixels, with their truth: for training and judging a header classifier.

Belongs here: planned series of every contrast, plane, region, maker and habit. Does not belong here: images, people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset

from spine_models.domain import Plane, Region
from spine_models.phantom.dicom.damage import damaged
from spine_models.phantom.dicom.headers import image_header, shared_elements
from spine_models.phantom.dicom.names import vocabulary
from spine_models.phantom.dicom.private import add_numbers
from spine_models.phantom.dicom.scanners import SCANNERS, Scanner
from spine_models.phantom.dicom.series import SeriesPlan, plan_series
from spine_models.phantom.scanner.examination import Acquired, Frame
from spine_models.phantom.scanner.planning import Slice
from spine_models.phantom.scanner.protocol import Sequence, sequence_for
from spine_models.phantom.study import Patient, Study

_MIX: Final[dict[str, float]] = {
    "T1": 0.14, "T1+C": 0.09, "T2": 0.17, "T2-FS": 0.08, "STIR": 0.12, "Dixon-in": 0.025, "Dixon-opposed": 0.025,
    "Dixon-water": 0.03, "Dixon-fat": 0.025, "PD": 0.04, "T2*": 0.07, "DWI": 0.05, "ADC": 0.03, "localizer": 0.04,
    "derived": 0.04, "MT": 0.02, "other": 0.015,
}  # fmt: skip
_OTHER_SITE: Final = 0.5
"""Share of headers from a site of other habits than the phantom hospital's own, so that none is learnt by heart."""
_VOLUME: Final = 0.12
_FLUID_NULLED: Final = 0.08
"""Shares of T1 (and T2) that are volume sequences, and of T1 with nulled fluid."""
_PLANES: Final = {Plane.SAGITTAL: 0.6, Plane.AXIAL: 0.33, Plane.CORONAL: 0.07}
_IOP: Final = {
    Plane.SAGITTAL: (0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
    Plane.AXIAL: (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    Plane.CORONAL: (1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
}
_FRAMES: Final = 3
_NOBODY: Final = Patient(
    "0", "Nobody", "N", "F", date(1970, 1, 1), "", "", "", "", "", "", "", 170, 75, "", 0
)


def header_only(plan: SeriesPlan, index: int = 0) -> Dataset:
    """The classic header of one frame of a planned series: no pixels, no identifiers, no bulky private blocks."""
    ds = image_header(plan, shared_elements(plan.values), index)
    add_numbers(ds, plan, plan.acquired.frames[index])
    return ds


def sample_headers(n: int, seed: int, damage_rate: float = 0.2) -> Iterator[tuple[Dataset, dict[str, Any]]]:
    """Headers of ``n`` series, one image each, with the truth about them; the same seed gives the same headers.

    Args:
        n: how many.
        seed: of everything.
        damage_rate: share of series with missing or wrong attributes.

    Yields:
        A data set without pixels and a dictionary of contrast (``domain.Contrast`` value), plane and region (values
        of their enums), vendor, scanner (station name), contrast_agent (bool), dixon_part (or None), b_value (that
        of the image, or None) and damage (tuple of fault names).
    """
    for number in range(n):
        rng = np.random.default_rng([seed, number, 77])
        study = _study(rng, number)
        name = str(rng.choice(list(_MIX), p=_weights(_MIX)))
        acquired = planned(name, study.scanner.field_t, rng, vendor=study.scanner.vendor)
        plan = damaged(plan_series(study, acquired, int(rng.integers(1, 30)), rng), damage_rate, rng)
        index = int(rng.integers(len(acquired.frames)))
        sequence = acquired.sequence
        yield (
            header_only(plan, index),
            {
                "contrast": acquired.name,
                "plane": acquired.plane.value if acquired.name != "localizer" else _plane_of(acquired, index),
                "region": study.region.value,
                "vendor": study.scanner.vendor,
                "scanner": study.scanner.station,
                "contrast_agent": sequence.contrast_agent,
                "dixon_part": sequence.dixon_part,
                "b_value": acquired.frames[index].b_value,
                "damage": plan.damage,
            },
        )


def planned(name: str, field_t: float, rng: np.random.Generator, *, vendor: str = "Siemens") -> Acquired:
    """A series as it would be acquired, with geometry but without pixels; volume protocols now and then.

    Args:
        name: a ``domain.Contrast`` value, ``MT`` and ``other`` included.
        field_t: field strength, T.
        rng: of plane, times and geometry.
        vendor: decides which time of a volume sequence is called its repetition time.
    """
    plane = list(_PLANES)[int(rng.choice(len(_PLANES), p=list(_PLANES.values())))]
    sequence, derivation = _sequence(name, field_t, vendor, rng)
    thickness = float(rng.choice((3.0, 3.5, 4.0))) if sequence.kind != "gre" or name == "localizer" else 2.0
    grid_plane = [Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL] if name == "localizer" else [plane] * _FRAMES
    frames = [
        Frame(_slice(p, i, thickness, rng), np.zeros((0, 0), np.uint16)) for i, p in enumerate(grid_plane)
    ]
    if name == "DWI":
        frames = [replace(f, b_value=b) for b in sequence.b_values_s_mm2 for f in frames]
    shown = Plane.OBLIQUE if name == "localizer" else plane
    gap = thickness * float(rng.choice((1.0, 1.1, 1.2)))
    return Acquired(name, shown, sequence, thickness, gap, tuple(frames), derivation=derivation)


def _sequence(
    name: str, field_t: float, vendor: str, rng: np.random.Generator
) -> tuple[Sequence, str | None]:
    """Times of a contrast, in the spread that sites use, and its derivation."""
    chosen = rng.random()
    if name == "MT":
        times, flip = (
            (float(rng.uniform(25, 110)), float(rng.uniform(2, 5))),
            float(rng.choice((6, 9, 9, 15))),
        )
        return Sequence("MT", "gre", *times, flip_deg=flip), "MT"
    if name == "other":
        if chosen < 0.5:
            return Sequence(name, "ir", 9000, float(rng.uniform(90, 130)), 2500, echo_train=16), "FLAIR"
        return Sequence(
            name, "gre", float(rng.uniform(4, 7)), float(rng.uniform(1.8, 3)), flip_deg=50
        ), "SSFP"
    if name == "derived":
        kind = str(rng.choice(("MPR", "MIP", "SUB")))
        source = "T1+C" if kind == "SUB" else "T2"
        return replace(sequence_for(source, field_t, rng), name=name, contrast_agent=kind == "SUB"), kind
    if name == "ADC":
        return sequence_for(name, field_t, rng), "ADC"
    if name in ("T1", "T1+C") and chosen < _VOLUME + _FLUID_NULLED:
        return (_volume_t1 if chosen < _VOLUME else _fluid_nulled_t1)(name, vendor, rng), None
    if name == "T2" and chosen < _VOLUME:
        times = float(rng.uniform(1400, 3600)), float(rng.uniform(100, 140))
        return Sequence(name, "se", *times, echo_train=int(rng.integers(60, 110))), None
    sequence = sequence_for(name, field_t, rng)
    if name == "localizer" and chosen < 0.4:
        sequence = Sequence(name, "se", 1200, 80, echo_train=128)
    if name == "T2*" and chosen < 0.3:
        # Several echoes are combined; the header tells their number and often only the first echo time.
        first = float(rng.uniform(2, 8)) if vendor == "Philips" else sequence.te_ms
        sequence = replace(sequence, te_ms=first, echo_train=int(rng.choice((3, 4, 5))))
    if name == "DWI" and chosen < 0.25:
        sequence = replace(sequence, tr_ms=float(rng.uniform(600, 1100)))
    return sequence, None


def _volume_t1(name: str, vendor: str, rng: np.random.Generator) -> Sequence:
    """Prepared gradient echo: some makers state the time between inversions as TR, others that between echoes."""
    after, echo = name == "T1+C", float(rng.uniform(1.7, 4))
    if vendor == "Siemens":
        times = float(rng.uniform(1900, 2400)), float(rng.uniform(850, 1050))
    else:
        inversion = None if vendor in ("Philips", "Canon") else float(rng.uniform(450, 1000))
        times = float(rng.uniform(4, 9)), inversion
    return Sequence(name, "gre", times[0], echo, times[1], flip_deg=9, contrast_agent=after)


def _fluid_nulled_t1(name: str, vendor: str, rng: np.random.Generator) -> Sequence:
    """T1 with nulled fluid, as many sites use at 3 T."""
    times = float(rng.uniform(1700, 2700)), float(rng.uniform(8, 26)), float(rng.uniform(700, 1050))
    return Sequence(name, "ir", *times, echo_train=int(rng.integers(5, 10)), contrast_agent=name == "T1+C")


def _slice(plane: Plane, index: int, thickness: float, rng: np.random.Generator) -> Slice:
    """A slice of the plane, tilted by up to some degrees as technologists tilt it."""
    iop = np.array(_IOP[plane])
    tilt = np.radians(rng.normal(0, 8 if plane is Plane.AXIAL else 3))
    row, column = iop[:3], iop[3:]
    normal = np.cross(row, column)
    column = np.cos(tilt) * column + np.sin(tilt) * normal
    centre = rng.normal(0, 10, 3) + index * thickness * np.cross(row, column)
    spacing, matrix = float(rng.uniform(0.4, 1.1)), int(rng.choice((256, 320, 384, 512)))
    corner = centre - (row + column) * spacing * matrix / 2
    return Slice(tuple(float(c) for c in (*row, *column)), corner, spacing, matrix)


def _study(rng: np.random.Generator, number: int) -> Study:
    scanner = _elsewhere(SCANNERS[int(rng.integers(len(SCANNERS)))], rng)
    region = (Region.LUMBAR, Region.CERVICAL, Region.THORACIC)[int(rng.choice(3, p=(0.5, 0.32, 0.18)))]
    day = date(2018, 1, 1) + timedelta(days=int(rng.integers(2500)))
    uid = f"{scanner.uid_root}.{day.strftime('%Y%m%d')}.{number + 1}"
    return Study(_NOBODY, scanner, region, day, "101010", f"H{number:07d}", uid, 0, 0)


def _elsewhere(scanner: Scanner, rng: np.random.Generator) -> Scanner:
    """The scanner, in half of the cases as it would be at a site with other habits."""
    if rng.random() >= _OTHER_SITE:
        return scanner
    habits = replace(
        scanner.habits,
        language=str(rng.choice(list(vocabulary()["languages"]))),
        style=str(rng.choice(("vendor", "vendor", "terse", "long", "numbered"))),
        case=str(rng.choice(("as_is", "as_is", "upper", "lower"))),
        body_part=str(rng.choice(("code", "coarse", "local", "absent", "wrong_default"))),
        agent_field=float(rng.uniform(0.1, 0.9)),
    )
    return replace(scanner, habits=habits, station=f"SITE{int(rng.integers(10_000)):04d}")


def _plane_of(acquired: Acquired, index: int) -> str:
    iop = acquired.frames[index].grid.iop
    normal = np.abs(np.cross(iop[:3], iop[3:]))
    return (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)[int(np.argmax(normal))].value


def _weights(mix: dict[str, float]) -> np.ndarray:
    weights = np.array(list(mix.values()))
    return weights / weights.sum()
