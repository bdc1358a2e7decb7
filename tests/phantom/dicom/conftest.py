"""Small acquired series with pixels, studies on any scanner, and one written inbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from spine_models.domain import Region
from spine_models.phantom.dicom.sampling import planned
from spine_models.phantom.dicom.scanners import SCANNERS, Scanner
from spine_models.phantom.dicom.write import WrittenSeries, write_series
from spine_models.phantom.records.identity import draw_patient
from spine_models.phantom.records.plants import identify
from spine_models.phantom.scanner.examination import Acquired, Frame
from spine_models.phantom.study import Study

SIZE = 32


def scanner_of(vendor: str, **wanted: object) -> Scanner:
    """The first scanner of a maker with the wanted attributes."""
    return next(
        s for s in SCANNERS if s.vendor == vendor and all(getattr(s, k) == v for k, v in wanted.items())
    )


def acquired_of(name: str, seed: int = 0, frames: int = 4) -> Acquired:
    """A series of a contrast with random pixels; a DWI has its frames for each of two b-values."""
    rng = np.random.default_rng([seed, 1])
    series = planned(name, 1.5, rng)
    slices = (
        list(series.frames)
        if name == "DWI"
        else [series.frames[n % len(series.frames)] for n in range(frames)]
    )
    made = []
    if name == "DWI":
        slices = _stacked(slices, series.spacing_mm)
    for n, frame in enumerate(slices):
        shift = np.array(frame.grid.ipp_mm) + (
            0 if name in ("DWI", "localizer") else n // len(series.frames) * 12.0
        )
        pixels = rng.integers(0, 2**series.bits_stored, (SIZE, SIZE)).astype(np.uint16)
        made.append(replace(frame, grid=replace(frame.grid, matrix=SIZE, ipp_mm=shift), pixels=pixels))
    return replace(series, frames=tuple(made))


def _stacked(frames: list[Frame], spacing_mm: float) -> list[Frame]:
    """The frames as one stack that runs against its normal, once for each b-value."""
    first = frames[0].grid
    step = -spacing_mm * np.cross(first.iop[:3], first.iop[3:])
    of_one = sum(frame.b_value == frames[0].b_value for frame in frames)
    return [
        replace(frame, grid=replace(first, ipp_mm=np.asarray(first.ipp_mm) + n % of_one * step))
        for n, frame in enumerate(frames)
    ]


def study_on(scanner: Scanner, number: int = 0) -> Study:
    """A study of a drawn patient."""
    person = draw_patient(number, np.random.default_rng([number, 5]))
    uid = f"{scanner.uid_root}.20210304101112.{number + 1}"
    accession = f"RS{7_000_000 + number}"
    return Study(person, scanner, Region.LUMBAR, date(2021, 3, 4), "101112", accession, uid, 0, person.site)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., tuple[Study, Acquired, WrittenSeries]]:
    """Write one series: (maker or scanner, contrast, seed, damage rate)."""

    def write(
        scanner: Scanner | str, name: str, seed: int = 0, damage_rate: float = 0.0
    ) -> tuple[Study, Acquired, WrittenSeries]:
        chosen = scanner_of(scanner) if isinstance(scanner, str) else scanner
        study, acquired = study_on(chosen, seed), acquired_of(name, seed)
        folder = tmp_path / f"{chosen.station}-{name.replace('*', 's')}-{seed}-{damage_rate}"
        folder.mkdir()
        rng = np.random.default_rng([seed, 9])
        return (
            study,
            acquired,
            write_series(folder, study, acquired, 3, rng, identify=identify, damage_rate=damage_rate),
        )

    return write
