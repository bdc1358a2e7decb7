"""Identifiers into a data set, in every place where hospitals put them.

Belongs here: standard attributes at any depth, private blocks, file meta, preamble and padding that name the patient,
the staff or the place. Does not belong here: who they are (``identity``), the acquisition (``phantom.dicom``).
What is planted is remembered in ``study.patient.planted``.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Any, Final

import numpy as np
import yaml
from pydicom import config
from pydicom.charset import python_encoding
from pydicom.datadict import DicomDictionary, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from spine_models.phantom.records.identity import OPERATORS, PHYSICIANS, SITES, charsets_of, plain
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
    sheet = _sheet_of(study)
    charset = _charset(study, ds)
    ds.SpecificCharacterSet = charset if isinstance(charset, str) else list(charset)
    spoken = _speaker(charset)
    for rate, elements in _places():
        for keyword, template in elements.items():
            if rate >= 1 or rng.random() < rate:
                _put(ds, keyword, template, sheet, spoken)
    _anywhere(ds, sheet, spoken, rng)
    _descriptions(ds, sheet, spoken)
    _private(ds, sheet, spoken, rng)
    _outside(ds, sheet, rng)


_last: list[Sheet] = []
"""The sheet of the study that is being written: thousands of files ask for the same one in a row."""


def _sheet_of(study: Study) -> Sheet:
    if not _last or _last[0].study is not study:
        _last[:] = [Sheet(study)]
    return _last[0]


class Sheet:
    """The facts that templates may name; reading one through ``fill`` plants it."""

    def __init__(self, study: Study) -> None:
        person, site = study.patient, SITES[study.site]
        doctor, operator = PHYSICIANS[study.physician], OPERATORS[study.operator]
        digits = "".join(c for c in person.mrn if c.isdigit()).lstrip("0")
        given, _, family = person.kin.partition(" ")
        day = study.day.strftime("%Y%m%d")
        self.study = study
        self._filled: dict[tuple[str, int], str] = {}
        self._facts: dict[str, tuple[str | None, str]] = {
            "dicom_name": ("dicom_name", person.dicom_name),
            "full_name": ("name", person.full_name),
            "family": (None, person.family),
            "given": (None, person.given),
            "initial": (None, person.given[0]),
            "sex": (None, person.sex),
            "age": (None, f"{person.age_on(study.day):03d}Y"),
            "size": (None, f"{person.height_cm / 100:.2f}"),
            "weight": (None, str(person.weight_kg)),
            "mrn": ("mrn", person.mrn),
            "mrn_without_zeros": ("mrn_without_zeros", person.mrn.lstrip("0")),
            "issuer": ("issuer", person.issuer),
            "other_id": ("other_id", person.other_ids[0]),
            "other_id2": ("other_id", person.other_ids[-1]),
            "birth": ("birth_date", person.birth.strftime("%Y%m%d")),
            "birth_us": ("birth_date", person.birth.strftime("%m/%d/%Y")),
            "phone": ("phone", person.phone),
            "email": ("email", person.email),
            "ssn": ("ssn", person.ssn),
            "street": ("street", person.street),
            "city": (None, person.city),
            "state": (None, person.state),
            "zip": (None, person.zip),
            "kin": ("kin", person.kin),
            "kin_name": ("kin", f"{family}^{given}"),
            "maiden": (None, person.maiden or person.family),
            "plan": ("plan", person.plan_id),
            "account": ("account", person.account),
            "employer": ("employer", person.employer),
            "accession": ("accession", study.accession),
            "study_id": (None, study.accession[-6:]),
            "step_id": ("step", f"S{study.accession}"),
            "uid": ("uid", study.uid),
            "person_uid": ("uid", f"1.2.826.0.1.3680043.9.7{study.site}.{digits}"),
            "record_uid": ("uid", f"1.2.826.0.1.3680043.9.7{study.site}.{digits}.{day}{study.time}"),
            "day": ("study_date", day),
            "day_us": ("study_date", study.day.strftime("%m/%d/%Y")),
            "time": (None, study.time),
            "region": (None, study.region.value),
            "hospital": ("hospital", site.name),
            "short": (None, site.short),
            "site_address": ("site_address", site.address),
            "site_phone": ("site_phone", site.phone),
            "department": (None, site.department),
            "doctor": ("physician", doctor.dicom_name),
            "doctor_text": ("physician", f"Dr. {doctor.family}"),
            "staff_id": ("staff_id", f"STAFF-{4400 + study.physician * 13}"),
            "operator": ("operator", operator.dicom_name),
            "operator_text": ("operator", operator.full_name),
            "station": ("station", study.scanner.station),
            "station_ae": (None, f"{site.short}_{study.scanner.station}"[:16]),
        }

    def fill(self, template: str, spoken: _Speaker) -> str:
        """The template with its facts in it, as the character set can write them; remembers what it planted."""
        key = (template, id(spoken))
        if key not in self._filled:
            self._filled[key] = self._fill(template, spoken)
        return self._filled[key]

    def _fill(self, template: str, spoken: _Speaker) -> str:
        values = {}
        for name in _fields(template):
            kind, value = self._facts[name]
            values[name] = said = spoken(value)
            if kind == "dicom_name":
                for group in said.split("=")[1:]:
                    self.study.patient.plant("name_other_script", group)
                kind, said = "name", "^".join(said.split("=")[0].split("^")[:2])
            if kind is not None:
                self.study.patient.plant(kind, said)
        return template.format(**values) if values else template


class _Speaker:
    """Text as a character set can write it: what it lacks becomes plain letters."""

    def __init__(self, encodings: tuple[str, ...]) -> None:
        self._encodings = encodings

    def __call__(self, text: str) -> str:
        if text.isascii() or self._encodings == ("utf_8",):
            return text
        groups = [part if self._can(part) else plain(part) for part in text.split("=")]
        return "=".join(groups)

    def _can(self, text: str) -> bool:
        for encoding in self._encodings:
            try:
                text.encode(encoding)
            except UnicodeEncodeError:
                continue
            return True
        return False


@lru_cache(maxsize=16)
def _speaker(charset: str | tuple[str, ...]) -> _Speaker:
    names = (charset,) if isinstance(charset, str) else charset
    encodings = tuple(python_encoding[name] for name in names if name)
    return _Speaker(tuple({"utf8": "utf_8"}.get(e, e) for e in encodings))


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


@lru_cache(maxsize=512)
def _fields(template: str) -> tuple[str, ...]:
    return tuple(name for _, name, _, _ in Formatter().parse(template) if name)


def _put(ds: Dataset, keyword: str, template: Any, sheet: Sheet, spoken: _Speaker) -> None:
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


def _item(entries: Mapping[str, Any], sheet: Sheet, spoken: _Speaker) -> Dataset:
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


def _anywhere(ds: Dataset, sheet: Sheet, spoken: _Speaker, rng: np.random.Generator) -> None:
    """A few text attributes out of the whole dictionary: no list of places is complete."""
    pool = _any_text()
    for pick in rng.integers(len(pool), size=_ANYWHERE_PER_FILE):
        keyword = pool[int(pick)]
        vr = dictionary_VR(keyword)
        template = {"PN": "{dicom_name}", "SH": "{mrn}"}.get(vr, "{full_name} {mrn}")
        if keyword not in ds:
            _put(ds, keyword, template, sheet, spoken)


def _descriptions(ds: Dataset, sheet: Sheet, spoken: _Speaker) -> None:
    words = _STUDY_WORDS[sheet.study.site % len(_STUDY_WORDS)].format(sheet.study.region.value)
    named = ", {family}" if sheet.study.number % 2 == 0 else " ({full_name})"
    _put(ds, "StudyDescription", words + named, sheet, spoken)
    # By the series, not by the file: a description belongs to the whole series.
    if zlib.crc32(str(ds.get("SeriesInstanceUID", "")).encode()) % 100 < 4 and ds.get("SeriesDescription"):
        said = sheet.fill("{family}", spoken)
        ds.SeriesDescription = _fitting("LO", f"{ds.SeriesDescription} {said}")


def _private(ds: Dataset, sheet: Sheet, spoken: _Speaker, rng: np.random.Generator) -> None:
    def said(template: str) -> str:
        return sheet.fill(template, spoken)

    ris = ds.private_block(0x0029, "PHANTOM RIS", create=True)
    ris.add_new(0x20, "UN", _even(said("{full_name}\\{accession}").encode()))
    chance = rng.random(5)
    if chance[0] < 0.5:
        block = ds.private_block(0x0009, "PHANTOM PACS 2.1", create=True)
        block.add_new(0x10, "LO", said("{full_name}"))
        block.add_new(0x11, "SH", said("{mrn}"))
        block.add_new(0x12, "DA", said("{birth}"))
        block.add_new(0x13, "PN", said("{dicom_name}"))
        block.add_new(0x14, "UI", said("{record_uid}"))
        block.add_new(
            0x15, "SQ", [_item({"PatientName": "{dicom_name}", "PatientID": "{mrn}"}, sheet, spoken)]
        )
    if chance[1] < 0.3:
        wide = said("{full_name};{mrn}").encode("utf-16-le")
        ris.add_new(0x21, "OB", _even(len(wide).to_bytes(4, "little") + wide))
    if chance[2] < 0.3 and sheet.study.scanner.vendor == "Siemens":
        protocol = said(
            '### ASCCONV BEGIN ###\ntPatientName = ""{full_name}""\ntPatientID = ""{mrn}""\n'
            'tReferringPhysician = ""{doctor_text}""\n### ASCCONV END ###\n'
        )
        block = ds.private_block(0x0029, "SIEMENS MEDCOM HEADER2", create=True)
        block.add_new(0x60, "LO", said("{full_name}"))
        block.add_new(0x61, "OB", _even(b"SV10\x04\x03\x02\x01" + protocol.encode()))
    if chance[3] < 0.1:
        # No creator at all, as some gateways leave it.
        ds.add_new(0x00131010, "LO", said("{full_name}"))
    if chance[4] < 0.08:
        ds.add_new(0x60000010, "US", 16)
        ds.add_new(0x60000011, "US", 16)
        ds.add_new(0x60000040, "CS", "G")
        ds.add_new(0x60000050, "SS", [1, 1])
        ds.add_new(0x60000100, "US", 1)
        ds.add_new(0x60000102, "US", 0)
        ds.add_new(0x60000022, "LO", said("{full_name}"))
        ds.add_new(0x60003000, "OW", b"\0" * 32)
        ds.add_new(0x60004000, "LT", said("marked by {operator_text} for {full_name}"))


def _outside(ds: Dataset, sheet: Sheet, rng: np.random.Generator) -> None:
    """Bytes around the data set: preamble and file meta information."""
    utf8 = _speaker("ISO_IR 192")
    chance = rng.random(2)
    if chance[0] < 0.15 and getattr(ds, "preamble", None) is not None:
        ds.preamble = sheet.fill("II*\0 {full_name} {mrn}", utf8).encode()[:128].ljust(128, b"\0")
    meta = getattr(ds, "file_meta", None)
    if meta is not None and chance[1] < 0.3:
        short = SITES[sheet.study.site].short
        meta.SendingApplicationEntityTitle = f"{short}_PACS"
        meta.ReceivingApplicationEntityTitle = f"{short}_ARCHIVE"
        meta.PrivateInformationCreatorUID = f"1.2.826.0.1.3680043.9.7{sheet.study.site}"
        meta.PrivateInformation = _even(sheet.fill("{mrn} {full_name}", utf8).encode())


def _charset(study: Study, ds: Dataset) -> Any:
    """UTF-8 for most; a national character set for every other patient whose name has one, where all text fits."""
    candidate = charsets_of(study.patient)
    if not candidate or zlib.crc32(study.patient.mrn.encode()) % 2:
        return "ISO_IR 192"
    charset = candidate[0] if len(candidate) == 1 else tuple(candidate)
    can = _speaker(charset)._can
    return charset if all(can(text) for text in _texts(ds)) else "ISO_IR 192"


def _texts(ds: Dataset) -> Iterator[str]:
    for element in ds:
        if element.VR in _TEXT and element.value and not str(element.value).isascii():
            yield str(element.value)


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)
