"""What all images of one series share in their headers, decided once per series.

Belongs here: names, acquisition attributes, contrast agent and UIDs of a series, before any image is written.
Does not belong here: single images (``headers``), faults (``damage``), bytes (``write``).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from spine_models.phantom.dicom.dialect import acquisition, form_of
from spine_models.phantom.dicom.names import Names, name_series, vocabulary
from spine_models.phantom.scanner.examination import Acquired
from spine_models.phantom.study import Study

HABIT: float = 0.8
"""Share of series that are named and set up as always on that scanner; the others are somebody's own variant."""
_NO_AGENT_STATED: float = 0.04
_LONGEST_UID = 64


@dataclass(frozen=True)
class SeriesPlan:
    """One series before it is written.

    Attributes:
        values: attributes by keyword that all its images share, acquisition and names.
        form: key of ``dialect.yaml``.
        damage: names of the faults that were put into ``values``.
    """

    study: Study
    acquired: Acquired
    number: int
    uid: str
    form: str
    values: dict[str, object]
    damage: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """SeriesDescription, empty where there is none."""
        return str(self.values.get("SeriesDescription", ""))


def plan_series(study: Study, acquired: Acquired, number: int, rng: np.random.Generator) -> SeriesPlan:
    """Decide everything that the series' headers share; what a site always does the same is always the same.

    Raises:
        ValueError: the study's UID leaves no room for the numbers of series and images.
    """
    scanner, form = study.scanner, form_of(acquired)
    uid = f"{study.uid}.{number}"
    if len(uid) > _LONGEST_UID - 5:
        raise ValueError("the study UID is too long to number series and images under it: shorten its root")
    habit = zlib.crc32(f"{scanner.station}|{form}|{acquired.plane}".encode())
    naming = np.random.default_rng(habit if rng.random() < HABIT else int(rng.integers(2**32)))
    names = name_series(scanner, acquired, study.region, naming, rng)
    values = acquisition(scanner, acquired, naming, rng) | _named(names) | _equipment(study)
    values |= _agent(study, acquired, names, rng)
    values |= {
        "Modality": "MR",
        "StudyInstanceUID": study.uid,
        "SeriesInstanceUID": uid,
        "FrameOfReferenceUID": f"{study.uid}.99",
        "SeriesNumber": number,
        "AcquisitionNumber": 1,
        "PatientPosition": "FFS" if scanner.vendor == "GE" and study.region.value == "lumbar" else "HFS",
        "SliceThickness": f"{acquired.thickness_mm:g}",
        "SpacingBetweenSlices": f"{acquired.spacing_mm:.3f}",
    }
    return SeriesPlan(study, acquired, number, uid, form, values)


def _named(names: Names) -> dict[str, object]:
    found = {
        "SeriesDescription": names.description,
        "ProtocolName": names.protocol,
        "BodyPartExamined": names.body_part,
    }
    return {keyword: value for keyword, value in found.items() if value is not None}


def _equipment(study: Study) -> dict[str, object]:
    scanner = study.scanner
    software = scanner.software.split("\\")
    return {
        "Manufacturer": scanner.manufacturer,
        "ManufacturerModelName": scanner.model,
        "SoftwareVersions": software if len(software) > 1 else software[0],
        "DeviceSerialNumber": scanner.serial,
        "StationName": scanner.station,
        "StudyDate": study.day.strftime("%Y%m%d"),
        "StudyTime": study.time,
        "AccessionNumber": study.accession,
    }


def _agent(study: Study, acquired: Acquired, names: Names, rng: np.random.Generator) -> dict[str, object]:
    """The agent's attributes: of a series after contrast agent, name or header tells, often both."""
    words = vocabulary()
    if not acquired.sequence.contrast_agent:
        stated = rng.random() < _NO_AGENT_STATED
        return {"ContrastBolusAgent": str(rng.choice(words["no_agent"]))} if stated else {}
    if names.says_agent and rng.random() >= study.scanner.habits.agent_field:
        return {}
    found: dict[str, object] = {"ContrastBolusAgent": str(rng.choice(words["agents"]))}
    if rng.random() < 0.5:
        found |= {"ContrastBolusVolume": f"{float(rng.uniform(5, 12)):.1f}", "ContrastBolusRoute": "IV"}
    return found
