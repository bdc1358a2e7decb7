"""MR Image Storage files as a hospital's archive holds them, identifiers included.

Belongs here: one instance's dataset. Does not belong here: vendor facts (``vendors``), pixels (``scanner``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage, RLELossless

from spine_models.domain import Plane, Region
from spine_models.phantom.records.identity import HOSPITALS, PHYSICIANS, Patient
from spine_models.phantom.scanner.planning import Slice, Stack
from spine_models.phantom.scanner.protocol import Sequence
from spine_models.phantom.vendors import Vendor, style


@dataclass(frozen=True)
class Study:
    """What all instances of one examination share."""

    patient: Patient
    vendor: Vendor
    region: Region
    day: date
    time: str
    accession: str
    uid: str
    physician: int


@dataclass(frozen=True)
class Series:
    """One series of a study."""

    number: int
    name: str
    plane: Plane
    sequence: Sequence
    stack: Stack
    uid: str


def write_instance(
    path: Path, study: Study, series: Series, index: int, grid: Slice, pixels: np.ndarray
) -> str:
    """Write one slice; returns its SOP Instance UID.

    Args:
        path: file to write.
        study: examination.
        series: series.
        index: 0-based slice index; the instance number is one more.
        grid: geometry of the slice.
        pixels: uint16 [n, n].
    """
    uid = f"{series.uid}.{index + 1}"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.ImplementationClassUID = f"{study.vendor.uid_root}.9"
    meta.SourceApplicationEntityTitle = study.vendor.station[:16]
    philips = study.vendor.manufacturer.startswith("Philips")
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if philips else ExplicitVRLittleEndian
    ds = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    _identity(ds, study)
    _acquisition(ds, study, series)
    _private(ds, study, series)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = MRImageStorage, uid, series.uid
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = series.number, index + 1, 1
    ds.FrameOfReferenceUID = f"{study.uid}.99"
    ds.ImageOrientationPatient = [f"{c:.6f}" for c in grid.iop]
    ds.ImagePositionPatient = [f"{c:.4f}" for c in grid.ipp_mm]
    ds.PixelSpacing = [f"{grid.spacing_mm:.5f}"] * 2
    ds.SliceThickness = series.stack.thickness_mm
    ds.SpacingBetweenSlices = f"{series.stack.spacing_mm:.3f}"
    normal = np.cross(grid.iop[:3], grid.iop[3:])
    ds.SliceLocation = f"{float(np.dot(normal, grid.ipp_mm)):.3f}"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = pixels.astype("<u2").tobytes()
    if not philips and series.name == "T2*" and series.number % 2 == 0:
        ds.compress(RLELossless, generate_instance_uid=False)
    ds.save_as(path, enforce_file_format=True)
    return uid


def _identity(ds: Dataset, study: Study) -> None:
    person, day = study.patient, study.day.strftime("%Y%m%d")
    doctor = PHYSICIANS[study.physician]
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.PatientSex = person.dicom_name, person.mrn, person.sex
    ds.IssuerOfPatientID = f"SITE{person.site}"
    ds.PatientBirthDate = person.birth.strftime("%Y%m%d")
    ds.PatientAge = f"{person.age_on(study.day):03d}Y"
    ds.PatientSize, ds.PatientWeight = f"{person.height_cm / 100:.2f}", str(person.weight_kg)
    ds.PatientAddress = f"{person.street}, {person.city}"
    ds.PatientTelephoneNumbers = person.phone
    ds.OtherPatientNames = f"{person.family}^{person.given[0]}"
    ds.PatientComments = f"call {person.phone}, next of kin {person.kin}"
    ds.AccessionNumber, ds.StudyID = study.accession, study.accession[-6:]
    ds.StudyInstanceUID = study.uid
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = day
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = study.time
    ds.InstitutionName = HOSPITALS[person.site]
    ds.InstitutionalDepartmentName = "Neuroradiology"
    ds.ReferringPhysicianName = f"{doctor}^Dana"
    ds.PerformingPhysicianName = f"{doctor}^Robin"
    ds.OperatorsName = "Vandermeer^Tess"
    ds.StationName = study.vendor.station
    ds.StudyDescription = f"MRI {study.region.value} spine, {person.family}"
    request = Dataset()
    request.RequestedProcedureID = study.accession
    request.RequestedProcedureDescription = (
        f"MR {study.region.value} spine for {person.given} {person.family}"
    )
    request.ScheduledProcedureStepID = f"S{study.accession}"
    ds.RequestAttributesSequence = [request]
    ds.ImageComments = f"{person.given} {person.family} MRN {person.mrn}"


def _acquisition(ds: Dataset, study: Study, series: Series) -> None:
    vendor, sequence = study.vendor, series.sequence
    for keyword, value in style(vendor, series.name, series.plane, study.region).items():
        setattr(ds, keyword, value)
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "MR", vendor.manufacturer, vendor.model
    ds.SoftwareVersions, ds.DeviceSerialNumber = vendor.software, vendor.uid_root.rsplit(".", 1)[-1]
    ds.MagneticFieldStrength = vendor.field_t
    ds.MRAcquisitionType, ds.PatientPosition = "2D", "HFS"
    ds.RepetitionTime, ds.EchoTime = sequence.tr_ms, sequence.te_ms
    if sequence.ti_ms is not None:
        ds.InversionTime = sequence.ti_ms
    ds.FlipAngle, ds.EchoTrainLength, ds.NumberOfAverages = sequence.flip_deg, sequence.echo_train, 2
    ds.ImagingFrequency = f"{42.577 * vendor.field_t:.4f}"
    ds.PixelBandwidth = 180


def _private(ds: Dataset, study: Study, series: Series) -> None:
    person = study.patient
    block = ds.private_block(0x0019, study.vendor.private_creator, create=True)
    block.add_new(0x0C, "IS", "0")
    block.add_new(0x10, "LO", f"{person.family} {person.given}")
    block.add_new(0x11, "SH", person.mrn[:16])
    other = ds.private_block(0x0029, "PHANTOM RIS", create=True)
    other.add_new(0x20, "UN", f"{person.dicom_name}\\{study.accession}".encode())
