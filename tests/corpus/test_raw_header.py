"""A header read from its bytes says what pydicom says, over every file of the reading library and the real ones."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_files

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive.instance import examine
from spine_models.corpus.frames import frame_facts
from spine_models.corpus.geometry import is_mosaic, mosaic_tiles
from spine_models.corpus.header import acquisition_facts, read_value, text_of

SETTINGS = ArchiveSettings()


def real_files() -> list[Path]:
    named = os.environ.get("SPINE_REAL_DATA")
    roots = [Path(named)] if named else [p / "shared" / "data" for p in Path(__file__).resolve().parents]
    folder = next((root / "real_dicom" for root in roots if (root / "real_dicom").is_dir()), None)
    return [] if folder is None else sorted(p for p in folder.rglob("*") if p.is_file())


def differences(paths: list[Path]) -> tuple[int, list[str]]:
    compared, different = 0, []
    for path in paths:
        found = examine(path, SETTINGS)
        if found.row is None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
            expected = acquisition_facts(ds)
            expected["patient_id"] = text_of(read_value(ds, "PatientID"))
            expected["series_description"] = text_of(read_value(ds, "SeriesDescription"))
            different += [f"{path.name}: {k}" for k, v in expected.items() if found.row[k] != v]
            if not is_mosaic(ds):
                same = list(found.frames) == frame_facts(ds)
                different += [] if same else [f"{path.name}: frames"]
            assert (found.mosaic, found.mosaic_tiles) == (is_mosaic(ds), mosaic_tiles(ds))
        compared += 1
    return compared, different


def test_library_files_read_alike():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paths = [Path(p) for p in get_testdata_files()]
    compared, different = differences(paths)
    assert compared >= 50
    assert different == []


@pytest.mark.real
def test_real_files_read_alike():
    paths = real_files()
    if not paths:
        pytest.skip("no folder shared/data beside the checkout, and SPINE_REAL_DATA is not set")
    compared, different = differences(paths)
    assert compared > 100
    assert different == []
