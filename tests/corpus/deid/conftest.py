"""A batch that was released, for the gate and the sweep; nobody changes it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import polars as pl
import pytest

from spine_models.config import ArchiveSettings, DeidSettings
from spine_models.corpus.archive import ArchiveTables, index_batch, scan_inbox
from spine_models.corpus.deid import deidentify_batch
from tests.corpus.deid.objects import KEY, write_inbox

SETTINGS = DeidSettings(workers=1)


@pytest.fixture(scope="session")
def released(tmp_path_factory) -> tuple[Path, ArchiveTables, dict[str, pl.DataFrame]]:
    folder = tmp_path_factory.mktemp("gate")
    settings = ArchiveSettings(workers=1)
    ledger = scan_inbox(write_inbox(folder / "inbox"), cohort="site", ledger=None, settings=settings)
    archive = index_batch(ledger, "site-0001", settings=settings)
    out = deidentify_batch(archive, key=KEY, out=folder / "dicom", settings=SETTINGS)
    restricted = {"quarantine", "crosswalk"}
    return folder, archive, {f.name: getattr(out, f.name) for f in fields(out) if f.name not in restricted}
