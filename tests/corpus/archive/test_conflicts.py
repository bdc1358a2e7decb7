"""UIDs that mean two things, accessions of two patients, files that change or go between runs."""

from __future__ import annotations

import os

import polars as pl

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import fingerprints, index_batch, scan_inbox
from spine_models.corpus.archive.tables import LEDGER

SETTINGS = ArchiveSettings(batch_studies=1, workers=1)


def scan(inbox, ledger=None, cohort="internal"):
    return scan_inbox(inbox, cohort=cohort, ledger=ledger, settings=SETTINGS)


def outcomes(ledger):
    tables = [index_batch(ledger, batch, settings=SETTINGS) for batch in ledger["batch_key"].unique().sort()]
    return dict(pl.concat([t.files for t in tables]).select("relative_path", "reason").iter_rows())


def changed(before, after):
    one, two = fingerprints(before), fingerprints(after)
    return {batch for batch in two if one.get(batch) != two[batch]}


def test_a_series_uid_of_two_studies_keeps_the_first(put, inbox):
    put("a", study="1", SeriesInstanceUID="1.2.3")
    put("b", study="2", SeriesInstanceUID="1.2.3")
    put("c", study="2", index=2, SeriesInstanceUID="1.2.4")
    assert outcomes(scan(inbox)) == {"a": None, "b": "conflicting_series", "c": None}
    together = ArchiveSettings(batch_studies=9, workers=1)
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=together)
    files = index_batch(ledger, "internal-0001", settings=together).files
    assert files["reason"].to_list() == [None, "conflicting_series", None]


def test_an_instance_uid_of_two_batches_keeps_the_first(put, inbox, tmp_path):
    put("a", study="1", SOPInstanceUID="1.2.3", PixelData=b"\1" * 512)
    first = scan(inbox)
    put("b", study="2", SOPInstanceUID="1.2.3", PixelData=b"\2" * 512)
    second = scan(inbox, first)
    assert outcomes(second) == {"a": None, "b": "conflicting_sop"}
    assert changed(first, second) == {"internal-0002"}
    # A cohort whose name comes first takes the UID over: the batches that had it rest on something else now.
    other = tmp_path / "other"
    other.mkdir()
    (other / "c").write_bytes((inbox / "a").read_bytes().replace(b"1.2.826.0.1.1", b"1.2.826.0.1.9"))
    third = scan(other, second, cohort="abroad")
    assert outcomes(third) == {"a": "conflicting_sop", "b": "conflicting_sop", "c": None}
    assert changed(second, third) == {"abroad-0001", "internal-0001"}


def test_a_ledger_of_the_version_before_is_read_on(put, inbox):
    put("a", study="1")
    old = scan(inbox).drop("series_hash", "sop_hash")
    put("b", study="2")
    ledger = scan(inbox, old)
    assert ledger.schema == LEDGER
    assert outcomes(ledger) == {"a": None, "b": None}
    assert outcomes(old) == {"a": None}


def test_reports_of_an_accession_of_two_patients_belong_to_nobody(put, inbox):
    put("dicom/1", study="1", PatientID="1", AccessionNumber="ACC")
    put("reports/ACC.txt", "Report of the first patient.")
    put("reports/more.csv", "accession_number,report_text\nacc ,Another of the first\n")
    first = scan(inbox)
    assert index_batch(first, "internal-0001", settings=SETTINGS).reports["study_uid"].null_count() == 0
    put("dicom/2", study="2", PatientID="2", AccessionNumber="ACC")
    second = scan(inbox, first)
    # What was certain before is not any more: the batch of the first patient has to run again.
    assert changed(first, second) == {"internal-0001", "internal-0002"}
    tables = [index_batch(second, f"internal-000{n}", settings=SETTINGS) for n in (1, 2)]
    assert [t.reports["study_uid"].to_list() for t in tables] == [[None, None], []]
    assert [t.studies["n_reports"].to_list() for t in tables] == [[0], [0]]
    (inbox / "dicom/2").unlink()
    third = scan(inbox, second)
    assert index_batch(third, "internal-0001", settings=SETTINGS).reports["study_uid"].null_count() == 0


def test_an_order_of_an_accession_of_two_patients_is_nobodys(put, inbox):
    put("dicom/1", study="1", PatientID="1", AccessionNumber="ACC")
    put("dicom/2", study="2", PatientID="2", AccessionNumber="ACC")
    put("ehr/orders.csv", "accession,exam\nACC,spine\n")
    ledger = scan(inbox)
    tables = [index_batch(ledger, f"internal-000{n}", settings=SETTINGS) for n in (1, 2)]
    assert [t.ehr.height for t in tables] == [1, 0]  # it stays with its file, for deid to hold back


def test_another_patients_file_under_a_known_path_waits_for_the_next_scan(put, inbox):
    put("a", study="1", PatientID="1")
    ledger = scan(inbox)
    put("a", study="1", PatientID="2")
    assert outcomes(ledger) == {"a": "changed"}
    again = scan(inbox, ledger)
    assert changed(ledger, again) == {"internal-0001"}
    assert outcomes(again) == {"a": None}


def test_new_content_under_a_known_path_is_read_again(put, inbox):
    put("a", study="1")
    put("b", study="2")
    first = scan(inbox)
    path = put("a", study="1", PixelData=b"\5" * 512)
    os.utime(path, ns=(10**18, 10**18))
    second = scan(inbox, first)
    assert changed(first, second) == {"internal-0001"}
    tables = [index_batch(ledger, "internal-0001", settings=SETTINGS).instances for ledger in (first, second)]
    assert tables[0]["sha256"].to_list() == tables[1]["sha256"].to_list()  # both were read after the change
    assert index_batch(second, "internal-0002", settings=SETTINGS).instances.height == 1


def test_what_has_gone_is_noticed_once_and_may_come_back(put, inbox):
    put("a", study="1")
    path = put("b", study="1", index=2)
    content = path.read_bytes()
    first = scan(inbox)
    path.unlink()
    second = scan(inbox, first)
    assert changed(first, second) == {"internal-0001"}
    assert outcomes(second) == {"a": None, "b": "vanished"}
    assert scan(inbox, second).equals(second)
    path.write_bytes(content)
    third = scan(inbox, second)
    assert changed(second, third) == {"internal-0001"}
    assert outcomes(third) == {"a": None, "b": None}


def test_what_lies_below_a_closed_folder_has_not_gone(put, inbox, monkeypatch):
    put("open/a", study="1")
    put("closed/b", study="2")
    first = scan(inbox)
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    second = scan(inbox, first)
    assert second.filter(relative_path="closed/b")["size_bytes"].null_count() == 0
    assert second.filter(relative_path="closed").height == 1


def test_a_fingerprint_of_one_batch_is_that_among_all(put, inbox):
    for study in "123":
        put(f"dicom/{study}", study=study)
    put("ehr/patients.csv", "mrn\n1\n4\n")
    ledger = scan(inbox)
    every = fingerprints(ledger)
    assert {batch: fingerprints(ledger, [batch])[batch] for batch in every} == every
    put("dicom/4", study="4")
    # A new study changes nothing for the others, but for the batch that held rows of the new patient.
    assert changed(ledger, scan(inbox, ledger)) == {"internal-0001", "internal-0004"}
