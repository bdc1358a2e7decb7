from __future__ import annotations

import os

import polars as pl
import pytest

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import InboxError, index_batch, scan_inbox, source_path
from spine_models.corpus.archive import inbox as module
from spine_models.corpus.archive.tables import LEDGER

SETTINGS = ArchiveSettings(batch_studies=2, workers=1)


def scan(inbox, ledger=None, cohort="internal", settings=SETTINGS, **more):
    return scan_inbox(inbox, cohort=cohort, ledger=ledger, settings=settings, **more)


def batches(ledger: pl.DataFrame) -> dict[str, str]:
    return dict(ledger.select("relative_path", "batch_key").iter_rows())


def test_missing_and_empty_inboxes_and_bad_cohorts_are_refused(tmp_path, inbox):
    with pytest.raises(InboxError, match="not a folder"):
        scan(tmp_path / "absent")
    with pytest.raises(InboxError, match="holds no files"):
        scan(inbox)
    for cohort in ("", "Internal", "a-b", "1a", "a" * 32, "../x"):
        with pytest.raises(InboxError, match="cohort"):
            scan(inbox, cohort=cohort)


def test_errors_do_not_name_the_folder(tmp_path):
    with pytest.raises(InboxError) as error:
        scan(tmp_path / "SMITH_JOHN")
    assert "SMITH" not in str(error.value)


def test_junk_alone_gets_a_batch_and_reasons(put, inbox):
    put("a/readme.md", "hello")
    put("b.bin", b"\0" * 200)
    put("c", b"")
    ledger = scan(inbox)
    assert ledger.schema == LEDGER
    assert set(ledger["batch_key"]) == {"internal-0001"}
    assert set(ledger["kind"]) == {"other"}
    tables = index_batch(ledger, "internal-0001", settings=SETTINGS)
    assert dict(tables.files.select("relative_path", "reason").iter_rows()) == {
        "a/readme.md": "not_dicom",
        "b.bin": "not_dicom",
        "c": "empty_file",
    }
    assert set(tables.files["status"]) == {"rejected"}
    assert tables.instances.is_empty()


def test_kinds_come_from_place_and_content(put, inbox):
    put("dicom/x/y/no_extension", study="1")
    put("stray.txt", study="2")
    put("reports/ACC1.txt", "Report")
    put("reports/logo.png", b"\x89PNG")
    put("EHR/patients.csv", "mrn\n1\n")
    put("ehr_notes.csv", "mrn\n1\n")
    put("annotations/train.csv", "a\n1\n")
    kinds = dict(scan(inbox).select("relative_path", "kind").iter_rows())
    assert kinds == {
        "dicom/x/y/no_extension": "dicom",
        "stray.txt": "dicom",
        "reports/ACC1.txt": "report",
        "reports/logo.png": "other",
        "EHR/patients.csv": "ehr",
        "ehr_notes.csv": "other",
        "annotations/train.csv": "annotation",
    }


def test_studies_fill_batches_and_stay_there(put, inbox):
    for study in "12345":
        put(f"dicom/s{study}/1", study=study)
    first = scan(inbox)
    assert sorted(set(first["batch_key"])) == ["internal-0001", "internal-0002", "internal-0003"]
    put("dicom/late", study="1", index=9)
    put("dicom/new", study="7")
    second = scan(inbox, first)
    assert batches(second)["dicom/late"] == "internal-0001"
    assert batches(second)["dicom/new"] == "internal-0004"
    assert second.join(first, on=LEDGER.names(), how="semi", nulls_equal=True).equals(first)


def test_studies_of_a_patient_lie_next_to_each_other(put, inbox):
    put("dicom/a", study="1", PatientID="7")
    put("dicom/b", study="2", PatientID="8")
    put("dicom/c", study="3", PatientID="007")
    assert batches(scan(inbox)) == {
        "dicom/a": "internal-0001",
        "dicom/b": "internal-0002",
        "dicom/c": "internal-0001",
    }


def test_a_study_is_in_one_batch_also_over_two_inboxes_and_cohorts(put, inbox, tmp_path):
    path = put("dicom/a", study="1")
    other = tmp_path / "other"
    other.mkdir()
    (other / "copy").write_bytes(path.read_bytes())
    both = scan(other, scan(inbox), cohort="external")
    assert set(both["batch_key"]) == {"internal-0001"}
    tables = index_batch(both, "internal-0001", settings=SETTINGS)
    assert tables.files["status"].to_list() == ["indexed", "duplicate"]


def test_a_rerun_with_nothing_new_opens_no_file(put, inbox, monkeypatch):
    put("dicom/a", study="1")
    put("dicom/junk", "x")
    put("reports/all.csv", "accession_number,report_text\nACC1,x\n")
    put("reports/ACC9.txt", "waits for its study")
    ledger = scan(inbox)

    def opened(*_args, **_more):
        raise AssertionError("an unchanged file was opened")

    monkeypatch.setattr(module, "identify", opened)
    monkeypatch.setattr(module, "report_rows", opened)
    assert scan(inbox, ledger).equals(ledger)
    os.utime(inbox / "dicom/a", ns=(1, 1))
    with pytest.raises(AssertionError, match="unchanged file"):
        scan(inbox, ledger)


def test_files_without_a_study_go_where_they_resolve_to(put, inbox):
    for study in "123":
        put(f"dicom/{study}", study=study)
    put("reports/acc3 .txt", "Report of the third")
    put("reports/rows.jsonl", '{"accession_number": "ACC3", "report_text": "x"}')
    put("reports/ACC99.txt", "Report of nobody")
    put("dicom/junk", "x")
    put("ehr/patients.csv", "mrn\n1\n")
    where = batches(scan(inbox))
    assert where["reports/acc3 .txt"] == where["reports/rows.jsonl"] == "internal-0002"
    assert where["reports/ACC99.txt"] == where["dicom/junk"] == where["ehr/patients.csv"] == "internal-0001"


def test_a_waiting_report_follows_its_study(put, inbox):
    put("dicom/1", study="1")
    put("reports/ACC5.txt", "Came before its images")
    first = scan(inbox)
    assert batches(first)["reports/ACC5.txt"] == "internal-0001"
    put("dicom/5", study="5")
    second = scan(inbox, first)
    assert batches(second)["reports/ACC5.txt"] == "internal-0002"
    assert index_batch(second, "internal-0002", settings=SETTINGS).reports["study_uid"].to_list() == [
        "1.2.826.0.1.5"
    ]


def test_junk_that_comes_alone_joins_the_last_batch(put, inbox):
    for study in "123":
        put(f"dicom/{study}", study=study)
    first = scan(inbox)
    put("dicom/junk", "x")
    assert batches(scan(inbox, first))["dicom/junk"] == "internal-0002"


def test_links_pipes_and_odd_names_are_listed_once(put, inbox):
    put("dicom/a", study="1")
    (inbox / "loop").symlink_to(inbox)
    os.mkfifo(inbox / "pipe")
    name = b"M\xfcller.dcm"
    with open(os.fsencode(inbox) + b"/" + name, "wb") as raw:
        raw.write((inbox / "dicom/a").read_bytes())
    ledger = scan(inbox)
    assert ledger["relative_path"].to_list() == ["M\\xfcller.dcm", "dicom/a", "loop", "pipe"]
    assert source_path(str(inbox), "M\\xfcller.dcm").exists()
    files = index_batch(ledger, "internal-0001", settings=SETTINGS).files
    assert files["reason"].to_list() == [None, "duplicate_content", "symbolic_link", "unreadable"]


def test_progress_ends_at_the_number_of_files_read(put, inbox):
    for index in range(3):
        put(f"{index}", study="1", index=index)
    told: list[tuple[int, int]] = []
    scan(inbox, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)


def test_worker_processes_give_the_same_ledger(put, inbox, monkeypatch):
    from spine_models.corpus.archive import folder

    for index in range(12):
        put(f"dicom/{index:02d}", study=str(index % 3 + 1), index=index)
    alone = scan(inbox)
    monkeypatch.setattr(folder, "PARALLEL_FROM_FILES", 4)
    together = ArchiveSettings(batch_studies=2, workers=2)
    assert scan(inbox, settings=together).equals(alone)
    tables = [index_batch(alone, "internal-0001", settings=s) for s in (SETTINGS, together)]
    assert tables[0].instances.equals(tables[1].instances)
