from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from spine_models.corpus.deid.tables import INSTANCES
from spine_models.corpus.header import MOSAIC
from spine_models.corpus.sequences.tables import SERIES

SAGITTAL = [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]


def dataset(
    pixels: np.ndarray, *, position_mm: float = 0.0, number: int = 1, **attributes
) -> pydicom.Dataset:
    """A classic MR instance with uint16 or int16 pixels."""
    ds = pydicom.Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = MRImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"2.25.{number + 1}"
    ds.Modality = "MR"
    ds.InstanceNumber = number
    ds.Rows, ds.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        ds.NumberOfFrames = len(pixels)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.ImageOrientationPatient = SAGITTAL
    ds.ImagePositionPatient = [position_mm, -50.0, 40.0]
    ds.PixelSpacing = [0.5, 0.5]
    ds.SliceThickness = 4.0
    ds.PixelData = pixels.tobytes()
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds


class Batch:
    """Collects instances of one batch on disk and as tables."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._instances: list[dict] = []
        self._series: dict[str, dict] = {}

    def add(self, content: pydicom.Dataset | bytes, *, patient: str, series: str, **facts) -> None:
        n = len(self._instances)
        instance = f"{n:032x}"
        path = self.folder / f"{instance}.dcm"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save_as(path, enforce_file_format=True)
        who = {"batch_key": "internal-0001", "patient_key": patient, "study_key": f"study-{patient}"}
        who["series_key"] = series
        number = 0 if isinstance(content, bytes) else content.InstanceNumber
        said = {"image_type": "ORIGINAL\\PRIMARY\\M"}
        said |= {name: facts.pop(name) for name in ("image_type", *MOSAIC) if name in facts}
        self._instances.append(
            who
            | {
                "instance_key": instance,
                "dicom_path": path.name,
                "instance_number": number,
            }
            | said
        )
        default = {"contrast": "T2", "route": "t2", "plane": "sagittal", "region": "lumbar"}
        self._series[series] = who | default | facts

    @property
    def instances(self) -> pl.DataFrame:
        return pl.DataFrame(self._instances, schema=INSTANCES)

    @property
    def series(self) -> pl.DataFrame:
        return pl.DataFrame(list(self._series.values()), schema=SERIES)


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    folder = tmp_path / "dicom"
    folder.mkdir()
    return Batch(folder)


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    def make(seed: int, shape: tuple[int, ...] = (24, 20)) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 1000, shape).astype(np.uint16)

    return make


@pytest.fixture
def make_dataset() -> Callable[..., pydicom.Dataset]:
    return dataset
