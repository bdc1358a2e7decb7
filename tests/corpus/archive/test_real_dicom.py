"""Real files of GE, Hitachi, Hyperfine, Philips and Siemens (dicom2nifti, dcm_qa_ts): every one is accounted for."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import index_batch, scan_inbox

pytestmark = pytest.mark.real


def folder() -> Path:
    named = os.environ.get("SPINE_REAL_DATA")
    roots = [Path(named)] if named else [p / "shared" / "data" for p in Path(__file__).resolve().parents]
    for root in roots:
        if (root / "real_dicom").is_dir():
            return root / "real_dicom"
    pytest.skip("no folder shared/data beside the checkout, and SPINE_REAL_DATA is not set")


def test_every_real_file_has_an_outcome():
    settings = ArchiveSettings()
    ledger = scan_inbox(folder(), cohort="internal", ledger=None, settings=settings)
    found = index_batch(ledger, "internal-0001", settings=settings)
    outcomes = Counter(found.files.select("status", "reason").iter_rows())
    assert found.files.height == ledger.height == sum(1 for path in folder().rglob("*") if path.is_file())
    assert outcomes == {
        ("indexed", None): 129,
        ("duplicate", "duplicate_content"): 7,
        ("rejected", "conflicting_sop"): 12,
        ("rejected", "not_dicom"): 2,
    }
    assert set(found.instances["vendor"]) >= {"GE", "Hitachi", "Hyperfine", "Philips", "Siemens"}
    several = found.series.filter(n_instances=1)
    assert several["n_slices"].max() >= 8  # enhanced objects count their slices, not their file
    mosaic = found.instances.filter(found.instances["image_type"].str.contains("MOSAIC"))[
        "series_uid"
    ].unique()
    assert found.series.filter(found.series["series_uid"].is_in(mosaic.implode()))[
        "n_slices"
    ].unique().to_list() == [35]
