"""Every identifier that the archive knows, read again from the originals, by patient.

Belongs here: an own reading of source headers and EHR rows into needles.
Does not belong here: the engine's or the text cleaner's idea of what identifies; this one is wider on purpose.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from multiprocessing import current_process, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pydicom
from pydicom import config
from pydicom.uid import UID_dictionary

from spine_models.corpus.archive import source_path
from spine_models.corpus.deid.gate.needles import Needle, of_date, of_identifier, of_name, of_phone, of_phrase
from spine_models.corpus.deid.pseudonyms import Pseudonymizer, normalise_patient_id

if TYPE_CHECKING:
    from spine_models.corpus.archive import ArchiveTables

_NUMBERS: Final = frozenset(
    [
        "PatientID",
        "OtherPatientIDs",
        "AccessionNumber",
        "StudyID",
        "AdmissionID",
        "ServiceEpisodeID",
        "InsurancePlanIdentification",
        "MedicalRecordLocator",
        "DeviceSerialNumber",
        "StationName",
        "PerformedStationName",
        "ScheduledStationName",
        "RequestedProcedureID",
        "PerformedProcedureStepID",
        "ScheduledProcedureStepID",
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
        "PlateID",
        "DetectorID",
        "CassetteID",
        "ClinicalTrialSubjectID",
        "PerformedStationAETitle",
        "StationAETitle",
        "RetrieveAETitle",
        "PlacerOrderNumberProcedure",
        "FillerOrderNumberProcedure",
        "IssuerOfPatientID",
    ]
)
_PHONES: Final = frozenset(
    [
        "PatientTelephoneNumbers",
        "ReferringPhysicianTelephoneNumbers",
        "OrderCallbackPhoneNumber",
        "PersonTelephoneNumbers",
        "PatientTelecomInformation",
    ]
)
_PHRASES: Final = frozenset(
    [
        "PatientAddress",
        "InstitutionAddress",
        "InstitutionName",
        "ReferringPhysicianAddress",
        "PersonAddress",
        "PatientInstitutionResidence",
        "InstitutionalDepartmentName",
        "CurrentPatientLocation",
        "RequestedProcedureLocation",
        "RequestingService",
    ]
)
_NAME_COLUMNS: Final = frozenset(["last_name", "first_name", "next_of_kin", "provider"])
_NUMBER_COLUMNS: Final = frozenset(
    [
        "mrn",
        "ssn",
        "plan_id",
        "account",
        "license",
        "vin",
        "portal_url",
        "last_ip",
        "encounter_id",
        "accession",
        "zip",
        "email",
    ]
)
_SPOKEN: Final = frozenset(["PN", "UI", "LO", "SH", "ST", "LT", "UT", "AE", "DA", "UC"])
_INLINE_BELOW: Final = 2000
_CHUNK: Final = 64
_UIDS: Final = re.compile(r"[0-2](?:\.\d+){3,}")


@dataclass
class Known:
    """Needles by reach: ``shared`` are searched everywhere, ``own`` only in what belongs to the patient."""

    shared: set[Needle] = field(default_factory=set)
    own: dict[str, set[Needle]] = field(default_factory=dict)
    births: dict[str, set[date]] = field(default_factory=dict)
    studies: dict[str, set[date]] = field(default_factory=dict)
    unread: int = 0
    """Originals that the operating system did not hand out; what they hold is not known."""

    def add(self, patient: str, kind: str, value: str) -> None:
        """Record one value of a patient (an empty patient for rows of nobody)."""
        text = re.sub(r"\x00", "", value).strip()
        if len(text) < 2:
            return
        mine = self.own.setdefault(patient, set())
        if kind == "name":
            full, single = of_name(text)
            self.shared.update(full)
            mine.update(single)
        elif kind == "number":
            for needle in of_identifier(text):
                (self.shared if _distinct(needle.text) else mine).add(needle)
        elif kind == "phone":
            for needle in of_phone(text):
                (self.shared if len(re.sub(r"\D", "", needle.text)) >= 10 else mine).add(needle)
        elif kind == "phrase":
            self.shared.update(of_phrase(text, "address"))
        elif kind == "uid" and text not in UID_dictionary and _UIDS.fullmatch(text) and len(text) > 12:
            self.shared.add(Needle("uid", text, "digits"))
        elif kind == "birth" and (day := parse_day(text)):
            self.births.setdefault(patient, set()).add(day)
        elif kind == "study" and (day := parse_day(text)):
            self.studies.setdefault(patient, set()).add(day)


def _distinct(text: str) -> bool:
    digits = sum(c.isdigit() for c in text)
    return (digits == len(text) and digits >= 9) or (digits < len(text) and len(text) >= 7 and digits >= 4)


def parse_day(text: str) -> date | None:
    """A date written year first or month first, or None."""
    for pattern, order in (
        (r"(\d{4})[-/.]?(\d{1,2})[-/.]?(\d{1,2})", (1, 2, 3)),
        (r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})", (3, 1, 2)),
    ):
        match = re.match(pattern, text)
        if match:
            try:
                return date(*(int(match[i]) for i in order))
            except ValueError:
                continue
    return None


def read_source(path: Path, *, pixels: bool) -> pydicom.Dataset | None:
    """An original as pydicom reads it, or None where it is not DICOM that can be read.

    Raises:
        OSError: it is not there or cannot be read now, so nothing is known of what it holds.
    """
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(path, stop_before_pixels=not pixels)
    except OSError:
        raise
    except Exception:
        # What cannot be read was not released; the gate then has nothing to compare and nothing to learn.
        return None


def values_of(dataset: pydicom.Dataset) -> Iterator[tuple[str, str]]:
    """(kind, value) of every identifying element at every depth."""
    for element in every_element(dataset):
        if element.VR not in _SPOKEN:
            continue
        kind = _kind(element.keyword, element.VR)
        if kind:
            value = element.value
            many = value if isinstance(value, list | tuple | pydicom.multival.MultiValue) else [value]
            yield from ((kind, str(v)) for v in many if v not in (None, "", b""))


def _kind(keyword: str, vr: str) -> str | None:
    if vr == "PN":
        return "name"
    if vr == "UI":
        return "uid"
    if keyword in _NUMBERS:
        return "number"
    if keyword in _PHONES:
        return "phone"
    if keyword in _PHRASES:
        return "phrase"
    return {"PatientBirthDate": "birth", "StudyDate": "study"}.get(keyword)


def every_element(dataset: pydicom.Dataset) -> Iterator[Any]:
    """Every element at every depth that can be decoded; one that cannot has no value to search for."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            items = list(element.value or []) if element.VR == "SQ" else []
        except Exception:
            continue
        yield element
        for item in items:
            yield from every_element(item)


def known_of(archive: ArchiveTables, names: Pseudonymizer | None, *, workers: int = 1) -> Known:
    """Everything that a batch's archive knows; ``unread`` counts the originals that could not be read now.

    Args:
        archive: frames of one batch.
        names: pseudonyms, to file values under their patient; without them all are filed under nobody.
        workers: processes that share the reading of headers where there are many.
    """
    known = Known()
    by_mrn: dict[str, str] = {}
    rows = list(archive.instances.iter_rows(named=True))
    paths = [source_path(row["inbox"], row["relative_path"]) for row in rows]
    for row, told in zip(rows, _told(paths, workers), strict=True):
        patient = _patient(names, row["patient_id"], row["issuer_of_patient_id"])
        by_mrn[normalise_patient_id(row["patient_id"] or "")] = patient
        known.unread += told is None
        for kind, value in told or ():
            known.add(patient, kind, value)
        for kind, column in (
            ("number", "patient_id"),
            ("number", "accession_number"),
            ("uid", "study_uid"),
            ("uid", "sop_uid"),
        ):
            known.add(patient, kind, row[column] or "")
    for row in archive.ehr.iter_rows(named=True):
        values = {k.strip().casefold(): str(v or "") for k, v in json.loads(row["values_json"]).items()}
        learn_row(known, by_mrn.get(normalise_patient_id(values.get("mrn", "")), ""), values)
    return known


def _told(paths: Sequence[Path], workers: int) -> Iterator[list[tuple[str, str]] | None]:
    if workers > 1 and len(paths) >= _INLINE_BELOW and not current_process().daemon:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            yield from pool.map(_identifying, paths, chunksize=_CHUNK)
    else:
        yield from map(_identifying, paths)


def _identifying(path: Path) -> list[tuple[str, str]] | None:
    try:
        dataset = read_source(path, pixels=False)
    except OSError:
        return None
    return sorted(set(values_of(dataset))) if dataset is not None else []


def _patient(names: Pseudonymizer | None, patient_id: str | None, issuer: str | None) -> str:
    if names is None or not normalise_patient_id(patient_id or ""):
        return ""
    return names.patient_key(patient_id or "", issuer)


def learn_row(known: Known, patient: str, values: dict[str, str]) -> None:
    """Record the identifying columns of one EHR row."""
    for column, value in values.items():
        if column in _NAME_COLUMNS:
            known.add(patient, "name", value)
        elif column in _NUMBER_COLUMNS:
            known.add(patient, "number", value)
        elif column == "phone":
            known.add(patient, "phone", value)
        elif column in ("street", "address"):
            known.add(patient, "phrase", value)
        elif column == "dob":
            known.add(patient, "birth", value)
        elif column == "study_instance_uid":
            known.add(patient, "uid", value)
    if values.get("first_name") and values.get("last_name"):
        known.add(patient, "name", f"{values['last_name']}^{values['first_name']}")


def date_needles(known: Known, patient: str, legitimate: set[date]) -> set[Needle]:
    """Needles of a patient's birth and study dates that no shifted date of the patient happens to equal."""
    fine = {n.text for day in legitimate for n in of_date(day, "")}
    births = {n for day in known.births.get(patient, ()) for n in of_date(day, "birth_date")}
    studies = {n for day in known.studies.get(patient, ()) for n in of_date(day, "study_date")}
    return {n for n in births | studies if n.text not in fine}
