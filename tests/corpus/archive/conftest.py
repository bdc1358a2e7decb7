"""Tiny MR files and inboxes as bytes, written by the tests themselves."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid


def mr_dataset(**changes: Any) -> Dataset:
    """A 16 x 16 MR slice; keyword arguments are elements to set, null removes one."""
    study, index = changes.pop("study", "1"), changes.pop("index", 1)
    ds = Dataset()
    ds.SOPClassUID = MRImageStorage
    ds.StudyInstanceUID = f"1.2.826.0.1.{study}"
    ds.SeriesInstanceUID = f"1.2.826.0.1.{study}.1"
    ds.SOPInstanceUID = f"1.2.826.0.1.{study}.1.{index}"
    ds.PatientID = f"00{study}"
    ds.AccessionNumber = f"ACC{study}"
    ds.StudyDate = "20240102"
    ds.Modality = "MR"
    ds.Manufacturer = "SIEMENS"
    ds.SeriesDescription = "t1_tse_sag"
    ds.SeriesNumber = 1
    ds.InstanceNumber = index
    ds.RepetitionTime = 600
    ds.EchoTime = 10
    ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    ds.ImagePositionPatient = [4.0 * index, -100, 100]
    ds.PixelSpacing = [1, 1]
    ds.SliceThickness = 4
    ds.Rows = ds.Columns = 16
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = bytes([index % 256]) * 512
    for keyword, value in changes.items():
        if value is None:
            del ds[keyword]
        else:
            setattr(ds, keyword, value)
    return ds


def encoded(ds: Dataset, syntax: str = ExplicitVRLittleEndian, implementation: str = "TEST") -> bytes:
    """Part 10 bytes of a data set."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", MRImageStorage)
    meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", generate_uid(entropy_srcs=["test"]))
    meta.TransferSyntaxUID = syntax
    meta.ImplementationVersionName = implementation
    ds.file_meta = meta
    out = io.BytesIO()
    pydicom.dcmwrite(out, ds, enforce_file_format=True)
    return out.getvalue()


@pytest.fixture
def dataset() -> Callable[..., Dataset]:
    return mr_dataset


@pytest.fixture
def encode() -> Callable[..., bytes]:
    return encoded


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Write one file below the test's inbox: bytes, text, or the elements of an MR slice."""

    def write(name: str, content: bytes | str | None = None, **elements: Any) -> Path:
        path = tmp_path / "inbox" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            content = encoded(mr_dataset(**elements))
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir(exist_ok=True)
    return tmp_path / "inbox"
