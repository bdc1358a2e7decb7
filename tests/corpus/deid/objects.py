"""Small, clean MR objects and inboxes for tests that need one thing wrong at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from spine_models.corpus.deid.dates import PatientDates
from spine_models.corpus.deid.engine import Cleaned, Patient, deidentify_object, read_object
from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.deid.pseudonyms import Pseudonymizer

KEY = b"a test key that has 32 bytes....."
NAMES = Pseudonymizer(KEY)
SHIFT = 41


def mr(**changes: object) -> Dataset:
    """A plain lumbar T2 MR dataset; keyword arguments set or, with None, delete attributes."""
    ds = Dataset()
    ds.SOPClassUID, ds.Modality = UID("1.2.840.10008.5.1.4.1.1.4"), "MR"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = (
        "1.2.3.1000000.1",
        "1.2.3.1000000.2",
        "1.2.3.1000000.3",
    )
    ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = (
        "0012345678",
        "Wexbury^Odalys",
        "19560312",
        "F",
    )
    ds.PatientAge, ds.StudyDate, ds.StudyTime, ds.AccessionNumber = "068Y", "20240305", "101112", "ACC7654321"
    ds.SeriesDate, ds.SeriesTime = "20240305", "101500"
    ds.ImageType, ds.Manufacturer, ds.ManufacturerModelName = ["ORIGINAL", "PRIMARY", "M"], "SIEMENS", "Skyra"
    ds.SeriesDescription, ds.RepetitionTime, ds.EchoTime = "t2_tse_sag", "3000", "98"
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [0, 1, 0, 0, 0, -1], [1, 2, 3]
    ds.PixelSpacing, ds.SliceThickness, ds.InstanceNumber, ds.SeriesNumber = [0.5, 0.5], "4", 1, 1
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 16, 12, 11
    ds.SamplesPerPixel, ds.PixelRepresentation, ds.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    ds.PixelData = np.arange(64, dtype="<u2").tobytes()
    ds["PixelData"].VR = "OW"
    with config.disable_value_validation():
        for keyword, value in changes.items():
            if keyword in ds:
                delattr(ds, keyword)  # an element keeps the validation under which it was made
            if value is not None:
                setattr(ds, keyword, value)
    return ds


def part10(ds: Dataset, syntax: str = str(ExplicitVRLittleEndian)) -> bytes:
    """The dataset as a file in a native transfer syntax."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        ds.get("SOPClassUID", ""),
        ds.get("SOPInstanceUID", ""),
    )
    meta.TransferSyntaxUID, meta.ImplementationClassUID = UID(syntax), UID("1.2.3")
    ds.file_meta = meta
    buffer = BytesIO()
    ds.preamble = b"\x00" * 128
    with config.disable_value_validation():
        implicit, little = syntax == "1.2.840.10008.1.2", syntax != "1.2.840.10008.1.2.2"
        dcmwrite(buffer, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    return buffer.getvalue()


def cleaned(data: bytes | Dataset, *, known: KnownIdentifiers | None = None, mode: str = "shift") -> Cleaned:
    """An object through the engine with the test key and a shift of 41 days."""
    raw = data if isinstance(data, bytes) else part10(data)
    patient = Patient(
        NAMES.patient_key("12345678"),
        PatientDates("year_only" if mode == "year_only" else "shift", SHIFT),
        known or KnownIdentifiers(),
    )
    return deidentify_object(read_object(raw), names=NAMES, patient=patient)


REPORT = """EXAM: MRI LUMBAR SPINE
Patient: WEXBURY, ODALYS   MRN 12345678   born 03/12/1956
COMPARISON: 5 February 2024, Cedar Hollow Hospital.
FINDINGS: Pfirrmann grade IV degeneration at L4-L5. Schmorl node at L2. The conus ends at L1.
Odalys
Wexbury was scanned on 2024-03-05 by tech Marisol Quintero; call (555) 867-5309.
IMPRESSION: Moderate central canal stenosis at L4-L5.
Electronically signed by Thaddeus Okonkwo, MD"""
PATIENT_ROW = {
    "mrn": "12345678",
    "last_name": "Wexbury",
    "first_name": "Odalys",
    "dob": "03/12/1956",
    "sex": "F",
    "ssn": "321-54-9876",
    "phone": "(555) 867-5309",
    "email": "odalys.w@mailbox.net",
    "street": "77 Tamarack Avenue",
    "city": "Eastholm",
    "state": "IL",
    "zip": "62701",
    "plan_id": "PLN4455667",
    "account": "AC99887766",
    "license": "W123-4567-8901",
    "vin": "1HGCM82633A123456",
    "portal_url": "https://portal.example/u/998877",
    "last_ip": "203.0.113.77",
    "next_of_kin": "Bartholomew Wexbury",
    "height_cm": "170",
    "weight_kg": "71.5",
}
ENCOUNTER_ROW = {
    "encounter_id": "E5566778",
    "mrn": "0012345678",
    "admit_date": "2024-03-05",
    "discharge_dttm": "03/07/2024 14:30",
    "provider": "Dr. Okonkwo",
    "icd10": "M54.5",
    "age_at_visit": "93",
    "note": "Ms. Wexbury seen on 03/05/2024, call 555-867-5309.",
}
ORDER_ROW = {
    "accession": "ACC7654321",
    "mrn": "12345678",
    "study_instance_uid": "1.2.3.1000000.1",
    "order_date": "5 March 2024",
    "exam": "MRI lumbar spine",
    "reason": "back pain, ordered by Dr. Okonkwo",
}


def write_inbox(folder: Path, *, edit: Callable[[Path], None] | None = None) -> Path:
    """An inbox of one patient with two instances, a report and the three EHR tables."""
    for name in ("dicom", "reports", "ehr"):
        (folder / name).mkdir(parents=True)
    for index in range(2):
        pixels = (np.arange(64, dtype="<u2") + index).tobytes()
        ds = mr(SOPInstanceUID=f"1.2.3.1000000.3.{index}", InstanceNumber=index + 1, PixelData=pixels)
        ds["PixelData"].VR = "OW"
        ds.InstitutionName = "Cedar Hollow Hospital"
        (folder / "dicom" / f"{index}.dcm").write_bytes(part10(ds))
    (folder / "reports" / "ACC7654321.txt").write_text(REPORT, encoding="utf-8")
    for table, row in (("patients", PATIENT_ROW), ("encounters", ENCOUNTER_ROW), ("orders", ORDER_ROW)):
        write_csv(folder / "ehr" / f"{table}.csv", [row])
    if edit:
        edit(folder)
    return folder


def write_csv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def annex_e() -> list[dict[str, str]]:
    """The profile's rows as package data has them."""
    path = Path(__file__).resolve().parents[3] / "spine_models/corpus/deid/ps315_annex_e.json"
    return json.loads(path.read_text(encoding="utf-8"))
