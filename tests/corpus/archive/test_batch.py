from __future__ import annotations

import json
from collections import Counter

import pytest

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.archive import tables as schemas

SETTINGS = ArchiveSettings(batch_studies=1, workers=1)


def index(inbox, *, settings=SETTINGS, batch="internal-0001"):
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=settings)
    return index_batch(ledger, batch, settings=settings)


def test_frames_match_their_schemas_also_when_empty(put, inbox):
    put("x", "junk")
    for found in (index(inbox), index(inbox, batch="internal-0099")):
        for name in ("files", "instances", "series", "studies", "reports", "ehr", "annotations"):
            assert getattr(found, name).schema == getattr(schemas, name.upper())


def test_every_ledger_row_of_every_batch_has_one_outcome(put, inbox):
    for study in "123":
        for slice_index in range(3):
            put(f"dicom/{study}/{slice_index}", study=study, index=slice_index)
    put("dicom/junk", "x")
    put("dicom/cut", (inbox / "dicom/1/0").read_bytes()[:700])
    put("reports/ACC1.txt", "fine")
    put("reports/ACC2.txt", "")
    put("ehr/patients.csv", "mrn\n1\n2\n")
    put("ehr/broken.csv", "a,b\n1\n")
    put("annotations/train.csv", "a\n1\n")
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    outcomes: Counter[tuple[str, str | None]] = Counter()
    paths: list[str] = []
    for batch in ledger["batch_key"].unique().sort():
        files = index_batch(ledger, batch, settings=SETTINGS).files
        assert set(files["batch_key"]) == {batch}
        outcomes.update(files.select("status", "reason").iter_rows())
        paths += files["relative_path"].to_list()
    assert sorted(paths) == sorted(ledger["relative_path"])
    assert outcomes == {
        ("indexed", None): 11,
        ("rejected", "not_dicom"): 1,
        ("rejected", "truncated"): 1,
        ("rejected", "empty_file"): 1,
        ("rejected", "ehr_unreadable"): 1,
        ("rejected", "annotation_columns"): 1,
    }


def test_copies_count_once_and_other_data_under_one_name_is_refused(put, inbox, dataset, encode):
    put("a", study="1")
    put("b", study="1")
    put("c", encode(dataset(study="1"), implementation="OTHER"))
    put("d", study="1", PixelData=b"\7" * 512)
    put("e", study="1", PixelData=b"\7" * 512)
    found = index(inbox)
    assert found.files["reason"].to_list() == [
        None,
        "duplicate_content",
        "duplicate_sop",
        "conflicting_sop",
        "duplicate_content",
    ]
    assert found.files["status"].to_list() == ["indexed", "duplicate", "duplicate", "rejected", "duplicate"]
    assert found.instances["relative_path"].to_list() == ["a"]


def test_a_study_with_two_patients_is_refused_whole(put, inbox):
    put("a", study="1", index=1, PatientID="1")
    put("b", study="1", index=2, PatientID="0001")
    put("c", study="1", index=3, PatientID="2")
    assert index(inbox).files["reason"].to_list() == ["conflicting_patient"] * 3
    (inbox / "c").unlink()
    assert index(inbox).files["reason"].to_list() == [None, None]


def test_a_file_that_changes_after_the_scan_is_not_indexed_elsewhere(put, inbox):
    put("a", study="1")
    put("b", study="1", index=2)
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    put("a", study="2")
    (inbox / "b").unlink()
    files = index_batch(ledger, "internal-0001", settings=SETTINGS).files
    assert files["reason"].to_list() == ["changed", "vanished"]


def test_series_and_studies_carry_geometry_and_counts(put, inbox):
    for slice_index in (3, 1, 2):
        put(f"dicom/s{slice_index}", study="1", index=slice_index)
    put(
        "dicom/axial",
        study="1",
        index=9,
        SeriesInstanceUID="1.2.3",
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
    )
    put("reports/ACC1.txt", "fine")
    found = index(inbox)
    series = {row["series_uid"]: row for row in found.series.to_dicts()}
    assert series["1.2.826.0.1.1.1"]["n_slices"] == 3
    assert series["1.2.826.0.1.1.1"]["plane"] == "sagittal"
    assert series["1.2.826.0.1.1.1"]["slice_spacing_mm"] == pytest.approx(4.0)
    assert series["1.2.826.0.1.1.1"]["geometry"] == "regular"
    assert (series["1.2.3"]["plane"], series["1.2.3"]["geometry"]) == ("axial", "single")
    study = found.studies.to_dicts()[0]
    assert (study["n_series"], study["n_instances"], study["n_reports"]) == (2, 4, 1)
    assert (study["cohort"], study["patient_id"]) == ("internal", "001")


def test_a_mosaic_counts_its_tiles(put, inbox, dataset, encode):
    ds = dataset(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"], SpacingBetweenSlices=3.5)
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0A, "US", 35)
    put("m", encode(ds))
    series = index(inbox).series.to_dicts()[0]
    assert (series["n_slices"], series["slice_spacing_mm"], series["geometry"]) == (35, 3.5, "regular")


def test_report_rows_go_to_the_batch_of_their_study(put, inbox):
    for study in "12":
        put(f"dicom/{study}", study=study)
    put("dicom/2b", study="3", AccessionNumber="ACC2")
    rows = "accession_number,report_text\nACC1,one\nACC2,two\nACC7,nobody\n,unnamed\n"
    put("reports/all.csv", rows)
    put("reports/copy.csv", rows)
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    found = [index_batch(ledger, f"internal-000{n}", settings=SETTINGS) for n in (1, 2, 3)]
    named = [[(r["report_text"], r["study_uid"]) for r in t.reports.to_dicts()] for t in found]
    # An accession number of two studies cannot say whose report it is.
    assert named == [[("one", "1.2.826.0.1.1"), ("two", None), ("nobody", None), ("unnamed", None)], [], []]
    reasons = dict(found[0].files.select("relative_path", "reason").iter_rows())
    assert (reasons["reports/all.csv"], reasons["reports/copy.csv"]) == (None, "duplicate_content")


def test_the_same_text_for_two_studies_is_two_reports(put, inbox):
    put("dicom/1", study="1")
    put("dicom/2", study="2", PatientID="001")
    for accession in ("ACC1", "ACC2"):
        put(f"reports/{accession}.txt", "Normal.")
    put("reports/again/ACC1.txt", "Normal.")
    found = index(inbox, settings=ArchiveSettings(batch_studies=9, workers=1))
    assert found.reports["accession_number"].to_list() == ["ACC1", "ACC2"]
    assert found.files.filter(kind="report")["status"].to_list().count("duplicate") == 1


def ehr_of(ledger, batch):
    return [
        (row["table"], json.loads(row["values_json"]), row["owner"])
        for row in index_batch(ledger, batch, settings=SETTINGS).ehr.to_dicts()
    ]


def test_ehr_rows_are_owned_by_the_first_batch_of_their_patient(put, inbox):
    put("dicom/1", study="1", PatientID="0042")
    put("dicom/2", study="2", PatientID="77")
    first = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    put("dicom/late", study="3", PatientID="42")
    put("ehr/patients.csv", "mrn,last_name\n42,A\n077,B\n900,Nobody\n")
    put("ehr/orders.csv", "accession,exam\nACC2,spine\n")
    put("ehr/export2/patients.csv", "mrn,last_name\n42,A\n42,A2\n")
    ledger = scan_inbox(inbox, cohort="internal", ledger=first, settings=SETTINGS)
    a, a2 = {"mrn": "42", "last_name": "A"}, {"mrn": "42", "last_name": "A2"}
    assert ehr_of(ledger, "internal-0001") == [("patients", a, True), ("patients", a2, True)]
    assert ehr_of(ledger, "internal-0002") == [
        ("orders", {"accession": "ACC2", "exam": "spine"}, True),
        ("patients", {"mrn": "077", "last_name": "B"}, True),
    ]
    nobody = {"mrn": "900", "last_name": "Nobody"}
    assert ehr_of(ledger, "internal-0003") == [
        ("patients", a, False),
        ("patients", a2, False),
        ("patients", nobody, True),
    ]
    owned = [row for n in (1, 2, 3) for row in ehr_of(ledger, f"internal-000{n}") if row[2]]
    assert len(owned) == 5


def test_a_cohort_does_not_see_the_ehr_of_another(put, inbox, tmp_path):
    put("dicom/1", study="1", PatientID="42")
    ledger = scan_inbox(inbox, cohort="internal", ledger=None, settings=SETTINGS)
    other = tmp_path / "other" / "ehr"
    other.mkdir(parents=True)
    (other / "patients.csv").write_text("mrn\n42\n")
    ledger = scan_inbox(tmp_path / "other", cohort="external", ledger=ledger, settings=SETTINGS)
    assert ehr_of(ledger, "internal-0001") == []
    assert ehr_of(ledger, "external-0001") == [("patients", {"mrn": "42"}, True)]


def test_indexing_is_the_same_every_time(put, inbox):
    for study in "12":
        put(f"dicom/{study}", study=study)
    first, second = index(inbox), index(inbox)
    for name in ("files", "instances", "series", "studies", "reports", "ehr"):
        assert getattr(first, name).equals(getattr(second, name))
