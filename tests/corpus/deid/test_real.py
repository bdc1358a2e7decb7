"""Files that others made: each is released or refused with a reason, and none raises."""

from __future__ import annotations

import os
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_files

from spine_models.corpus.deid.gate.parts import parts_of
from spine_models.corpus.deid.quarantine import Refused
from tests.corpus.deid.objects import cleaned


def outcome(path: Path) -> str:
    data = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # malformed on purpose
        try:
            out = cleaned(data)
        except Refused as refusal:
            return str(refusal.reason)
        parts_of(out.payload)
        assert np.array_equal(
            pydicom.dcmread(BytesIO(out.payload)).pixel_array, pydicom.dcmread(path, force=True).pixel_array
        )
    return "released"


def test_every_file_of_pydicoms_own_test_data_is_released_or_refused():
    paths = [
        Path(p) for p in get_testdata_files() if Path(p).is_file() and Path(p).stat().st_size < 4_000_000
    ]
    outcomes = [outcome(p) for p in paths]
    assert len(paths) > 50
    assert outcomes.count("released") >= 5
    assert set(outcomes) > {"released", "not_mr", "dicomdir", "missing_meta"}


def _folder() -> Path | None:
    named = os.environ.get("SPINE_REAL_DATA")
    places = [Path(named)] if named else [p / "shared" / "data" for p in Path(__file__).resolve().parents]
    return next((p / "real_dicom" for p in places if (p / "real_dicom").is_dir()), None)


@pytest.mark.real
def test_real_mr_of_five_vendors_comes_out():
    folder = _folder()
    if folder is None:
        pytest.skip("no real_dicom folder beside the checkout")
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    outcomes = {p: outcome(p) for p in paths}
    released = [p for p, what in outcomes.items() if what == "released"]
    assert len(released) >= 100
    assert {"philips_enhanced", "siemens_multiframe", "ge", "hitachi", "hyperfine"} <= {
        part for p in released for part in p.parts
    }
