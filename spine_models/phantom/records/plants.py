"""Identifiers into a data set, in every place where hospitals put them.

Belongs here: standard attributes at any depth that name the patient, the staff or the place. Does not belong here: who
they are (``identity``), private blocks and bytes around the data set (``hidden``), the acquisition
(``phantom.dicom``).
What is planted is remembered in ``study.patient.planted``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from pydicom import config
from pydicom.datadict import DicomDictionary, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from spine_models.phantom.records.hidden import hide_outside, hide_privately
from spine_models.phantom.records.identity import charsets_of
from spine_models.phantom.records.sheet import Sheet, Speaker, sheet_of, speaker_of
from spine_models.phantom.study import Study

_LONGEST: Final = {"SH": 16, "AE": 16, "CS": 16, "LO": 64, "PN": 64, "UI": 64}
_TEXT: Final = frozenset({"PN", "LO", "SH", "ST", "LT", "UT", "UC"})
_ANYWHERE_GROUPS: Final = frozenset({0x0008, 0x0010, 0x0012, 0x0032, 0x0038, 0x0040, 0x4008})
_NOT_ANYWHERE: Final = frozenset(
    {"SpecificCharacterSet", "SeriesDescription", "StudyDescription", "Manufacturer", "ManufacturerModelName",
     "CodeMeaning", "LongCodeValue", "TimezoneOffsetFromUTC", "PatientID", "AccessionNumber", "PatientName"}
)  # fmt: skip
_ANYWHERE_PER_FILE: Final = 4
_STUDY_WORDS: Final = ("MRI {} spine", "MR {} SPINE WO", "{} spine MRI", "MRT {}", "IRM {}")


def identify(ds: Dataset, study: Study, rng: np.random.Generator) -> None:
    """Write the patient, the staff and the place into a data set whose own header is complete.

    Args:
        ds: classic or enhanced data set; its preamble and file meta are written too, where it has them.
        study: whose; ``study.patient.planted`` grows by (kind, value).
        rng: decides which of the rarer places this file has.
    """
    sheet = sheet_of(study)
    charset = _charset(study, ds)
    ds.SpecificCharacterSet = charset if isinstance(charset, str) else list(charset)
    spoken = speaker_of(charset)
    for rate, elements in _places():
        for keyword, template in elements.items():
            if rate >= 1 or rng.random() < rate:
                _put(ds, keyword, template, sheet, spoken)
    _anywhere(ds, sheet, spoken, rng)
    _descriptions(ds, sheet, spoken)
    hide_privately(ds, sheet, spoken, rng)
    hide_outside(ds, sheet, rng)


@lru_cache(maxsize=1)
def _places() -> list[tuple[float, dict[str, Any]]]:
    text = (Path(__file__).parent / "places.yaml").read_text(encoding="utf-8")
    return [(float(block["rate"]), block["elements"]) for block in yaml.safe_load(text)]


@lru_cache(maxsize=1)
def _any_text() -> tuple[str, ...]:
    """Keywords of the standard's top-level text attributes that the list of places does not name."""
    named = {keyword for _, elements in _places() for keyword in elements} | _NOT_ANYWHERE
    rows = sorted((tag, row) for tag, row in DicomDictionary.items() if tag >> 16 in _ANYWHERE_GROUPS)
    return tuple(row[4] for _, row in rows if row[0] in _TEXT and row[4] and row[4] not in named)


def _put(ds: Dataset, keyword: str, template: Any, sheet: Sheet, spoken: Speaker) -> None:
    tag, vr = tag_for_keyword(keyword), dictionary_VR(keyword)
    assert tag is not None
    value: Any
    if isinstance(template, list):
        value = [_item(entries, sheet, spoken) for entries in template]
    else:
        value = sheet.fill(str(template), spoken)
        value = value.encode() if vr.startswith("O") else _fitting(vr, value)
        value = value + b" " * (len(value) % 2) if isinstance(value, bytes) else value
    ds[tag] = DataElement(tag, vr, value, validation_mode=config.IGNORE)


def _item(entries: Mapping[str, Any], sheet: Sheet, spoken: Speaker) -> Dataset:
    item = Dataset()
    for keyword, template in entries.items():
        _put(item, keyword, template, sheet, spoken)
    return item


def _fitting(vr: str, value: str) -> str:
    longest = _LONGEST.get(vr)
    if longest is None or vr == "PN":
        return value
    # The standard counts characters, many readers count bytes: short enough for both.
    return value.encode()[:longest].decode(errors="ignore").rstrip()


def _anywhere(ds: Dataset, sheet: Sheet, spoken: Speaker, rng: np.random.Generator) -> None:
    """A few text attributes out of the whole dictionary: no list of places is complete."""
    pool = _any_text()
    for pick in rng.integers(len(pool), size=_ANYWHERE_PER_FILE):
        keyword = pool[int(pick)]
        vr = dictionary_VR(keyword)
        template = {"PN": "{dicom_name}", "SH": "{mrn}"}.get(vr, "{full_name} {mrn}")
        if keyword not in ds:
            _put(ds, keyword, template, sheet, spoken)


def _descriptions(ds: Dataset, sheet: Sheet, spoken: Speaker) -> None:
    words = _STUDY_WORDS[sheet.study.site % len(_STUDY_WORDS)].format(sheet.study.region.value)
    named = ", {family}" if sheet.study.number % 2 == 0 else " ({full_name})"
    _put(ds, "StudyDescription", words + named, sheet, spoken)
    # By the series, not by the file: a description belongs to the whole series.
    if zlib.crc32(str(ds.get("SeriesInstanceUID", "")).encode()) % 100 < 4 and ds.get("SeriesDescription"):
        said = sheet.fill("{family}", spoken)
        ds.SeriesDescription = _fitting("LO", f"{ds.SeriesDescription} {said}")


def _charset(study: Study, ds: Dataset) -> Any:
    """UTF-8 for most; a national character set for every other patient whose name has one, where all text fits."""
    candidate = charsets_of(study.patient)
    if not candidate or zlib.crc32(study.patient.mrn.encode()) % 2:
        return "ISO_IR 192"
    charset = candidate[0] if len(candidate) == 1 else tuple(candidate)
    can = speaker_of(charset).can
    return charset if all(can(text) for text in _texts(ds)) else "ISO_IR 192"


def _texts(ds: Dataset) -> Iterator[str]:
    for element in ds:
        if element.VR in _TEXT and element.value and not str(element.value).isascii():
            yield str(element.value)
