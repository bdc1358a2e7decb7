from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pydicom
import pytest

from spine_models.config import ShardSettings
from spine_models.corpus.deid.tables import INSTANCES
from spine_models.corpus.sequences.tables import SERIES
from spine_models.corpus.shards import read_slices, write_shards
from spine_models.corpus.shards.pixels import read_frames


def real_dicom() -> Path | None:
    named = os.environ.get("SPINE_REAL_DATA")
    folders = [Path(named)] if named else [p / "shared" / "data" for p in Path(__file__).resolve().parents]
    return next((f / "real_dicom" for f in folders if (f / "real_dicom").is_dir()), None)


pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(real_dicom() is None, reason="no third-party DICOM beside the checkout"),
]


def tables_of(paths: list[Path], root: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    who = {"batch_key": "b-0001", "patient_key": "p", "study_key": "s"}
    instances, series = [], {}
    for number, path in enumerate(paths):
        key = f"series-{path.parent.relative_to(root)}"
        series[key] = who | {"series_key": key, "route": "other", "plane": "axial", "region": "other"}
        facts = {"instance_key": f"{number:032x}", "dicom_path": str(path.relative_to(root))}
        instances.append(who | {"series_key": key, "instance_number": number} | facts)
    return pl.DataFrame(instances, schema=INSTANCES), pl.DataFrame(list(series.values()), schema=SERIES)


def test_one_image_in_many_transfer_syntaxes_is_one_image(tmp_path):
    """Lossless syntaxes decode to the same pixels; every file is either used or has a reason."""
    root = real_dicom() / "dcm_qa_ts" / "In"
    lossless, decoded = [], 0
    for path in sorted(root.glob("*.dcm")):
        frames = list(read_frames(path))
        decoded += 1
        if pydicom.dcmread(path, stop_before_pixels=True).get("LossyImageCompression", "00") != "01":
            lossless.append(frames[0].stored)
    assert decoded == 9
    assert len(lossless) >= 2
    assert all(np.array_equal(lossless[0], other) for other in lossless[1:])


def test_every_real_file_is_sharded_or_has_a_reason(tmp_path):
    root = real_dicom() / "dicom2nifti"
    paths = sorted(p for p in root.rglob("*") if p.is_file() and p.read_bytes()[128:132] == b"DICM")
    instances, series = tables_of(paths, root)
    settings = ShardSettings(size_px=64, workers=1)
    tables = write_shards(instances, series, dicom=root, out=tmp_path / "out", settings=settings)
    used = tables.slices["instance_key"].n_unique()
    assert used + tables.skipped["n"].sum() == len(paths)
    assert used > 0.8 * len(paths)
    assert set(tables.slices["split"]) == {"outside"}
    stored = dict(read_slices(sorted((tmp_path / "out").rglob("*.tar"))))
    assert len(stored) == tables.slices.height
    assert all(array.max() > 0 for array in list(stored.values())[:50])
