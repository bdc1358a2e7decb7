"""A very small inbox written by the tests: three patients, two sagittal series each, reports and EHR rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

SLICES = 3


def write_slice(path: Path, *, patient: int, series: int, index: int, seed: int = 0) -> None:
    """One 32 x 32 slice; ``seed`` changes its pixels and nothing else."""
    ds = Dataset()
    ds.SOPClassUID, ds.Modality, ds.Manufacturer = MRImageStorage, "MR", "SIEMENS"
    ds.StudyInstanceUID = f"1.2.826.0.1.77.{patient}"
    ds.SeriesInstanceUID = f"{ds.StudyInstanceUID}.{series}"
    ds.SOPInstanceUID = f"{ds.SeriesInstanceUID}.{index}"
    ds.PatientID, ds.PatientName = f"00{patient}47110815", f"Vandermeulen^Ottilie{patient}"
    ds.PatientBirthDate, ds.PatientSex, ds.StudyDate = "19610203", "F", "20240102"
    ds.AccessionNumber = f"ACC{patient}"
    ds.SeriesDescription = ("t1_tse_sag", "t2_tse_sag")[series - 1]
    ds.BodyPartExamined, ds.ScanningSequence, ds.MRAcquisitionType = "LSPINE", "SE", "2D"
    ds.SeriesNumber, ds.InstanceNumber, ds.MagneticFieldStrength = series, index, 1.5
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength = (600, 10, 3) if series == 1 else (3500, 100, 15)
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [0, 1, 0, 0, 0, -1], [4.0 * index, -100, 100]
    ds.PixelSpacing, ds.SliceThickness, ds.Rows, ds.Columns = [1, 1], 4, 32, 32
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    pixels = np.random.default_rng([seed, patient, series, index]).integers(0, 4096, (32, 32), np.uint16)
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def write_inbox(inbox: Path, patients: int = 3) -> Path:
    """``dicom``, ``reports`` and ``ehr`` of ``patients`` patients."""
    for patient in range(1, patients + 1):
        for series in (1, 2):
            for index in range(SLICES):
                write_slice(
                    inbox / f"dicom/{patient}/{series}_{index}", patient=patient, series=series, index=index
                )
        report = inbox / f"reports/ACC{patient}.txt"
        report.parent.mkdir(exist_ok=True)
        report.write_text(f"MRI lumbar spine.\nDisc herniation at L{patient}/L{patient + 1}. No fracture.\n")
    rows = [f"00{patient}47110815,Vandermeulen,F" for patient in range(1, patients + 1)]
    (inbox / "ehr").mkdir(exist_ok=True)
    (inbox / "ehr/patients.csv").write_text("mrn,last_name,sex\n" + "\n".join(rows) + "\n")
    return inbox
