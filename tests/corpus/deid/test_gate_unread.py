"""A batch some of whose originals cannot be read does not leave: nobody knows what to look for in the others."""

from dataclasses import fields

import polars as pl
import pytest

from spine_models.config import ArchiveSettings, DeidSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.deid import deidentify_batch, gate_batch, refusal
from spine_models.corpus.deid.gate.batch import UNREAD
from spine_models.corpus.deid.tables import GATE
from tests.corpus.deid.objects import KEY, write_inbox

SETTINGS = DeidSettings(workers=1)


@pytest.fixture
def archive(tmp_path):
    settings = ArchiveSettings(workers=1)
    ledger = scan_inbox(write_inbox(tmp_path / "inbox"), cohort="site", ledger=None, settings=settings)
    return index_batch(ledger, "site-0001", settings=settings)


def gated(archive, folder):
    out = deidentify_batch(archive, key=KEY, out=folder, settings=SETTINGS)
    leaving = {f.name: getattr(out, f.name) for f in fields(out) if f.name not in ("quarantine", "crosswalk")}
    return out, gate_batch(archive, folder=folder, tables=leaving, key=KEY, settings=SETTINGS)


def test_an_original_out_of_reach_refuses_the_batch_though_the_engine_left_it_behind(archive, tmp_path):
    gone = archive.instances.row(0, named=True)
    (tmp_path / "inbox" / gone["relative_path"]).unlink()
    released, violations = gated(archive, tmp_path / "dicom")
    assert released.quarantine["reason"].to_list().count("unreadable") == 1
    assert released.instances.height == archive.instances.height - 1
    assert violations.rows() == [("site-0001", UNREAD, "archive", 1)]


def test_the_whole_inbox_out_of_reach_refuses_the_batch_and_not_for_what_is_in_no_file(archive, tmp_path):
    (tmp_path / "inbox").rename(tmp_path / "away")
    _, violations = gated(archive, tmp_path / "dicom")
    assert violations.rows() == [("site-0001", UNREAD, "archive", archive.instances.height)]
    (tmp_path / "away").rename(tmp_path / "inbox")
    assert gated(archive, tmp_path / "again")[1].is_empty()


def test_the_refusal_says_the_remedy_and_no_identifier(archive, tmp_path):
    gone = archive.instances.row(0, named=True)
    (tmp_path / "inbox" / gone["relative_path"]).unlink()
    _, violations = gated(archive, tmp_path / "dicom")
    told = refusal(violations)
    assert told.startswith("the gate found 1 originals that could not be read, so that")
    assert "make the inbox readable and run again" in told
    hidden = (
        "patient_id",
        "accession_number",
        "study_uid",
        "series_uid",
        "sop_uid",
        "relative_path",
        "inbox",
    )
    assert not [name for name in hidden if str(gone[name]).casefold() in told.casefold()]
    leak = pl.DataFrame([("site-0001", "name", "reports", 3)], schema=GATE, orient="row")
    assert refusal(leak) == "the gate found 1 violations"
    assert refusal(pl.concat([leak, violations])).startswith(
        "the gate found 1 violations and 1 originals that"
    )
