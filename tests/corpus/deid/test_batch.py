from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import polars as pl
import pydicom
import pytest

from spine_models.config import ArchiveSettings, DeidSettings
from spine_models.corpus.archive import ArchiveTables, index_batch, scan_inbox
from spine_models.corpus.deid import DeidPolicyError, DeidTables, deidentify_batch, tables
from spine_models.corpus.deid.crosswalk import CrosswalkError, unseal
from tests.corpus.deid.objects import KEY, NAMES, ORDER_ROW, PATIENT_ROW, mr, part10, write_csv, write_inbox

SETTINGS = DeidSettings(workers=1)
SCHEMAS = {
    "files": tables.FILES,
    "instances": tables.INSTANCES,
    "studies": tables.STUDIES,
    "reports": tables.REPORTS,
    "ehr_patients": tables.EHR_PATIENTS,
    "ehr_encounters": tables.EHR_ENCOUNTERS,
    "ehr_orders": tables.EHR_ORDERS,
    "audit": tables.AUDIT,
    "quarantine": tables.QUARANTINE,
}


def archive_of(inbox: Path) -> ArchiveTables:
    settings = ArchiveSettings(workers=1)
    ledger = scan_inbox(inbox, cohort="site", ledger=None, settings=settings)
    return index_batch(ledger, "site-0001", settings=settings)


def run(folder: Path, **settings: object) -> tuple[ArchiveTables, DeidTables]:
    archive = archive_of(folder / "inbox")
    chosen = DeidSettings(workers=1, **settings)
    return archive, deidentify_batch(archive, key=KEY, out=folder / "out", settings=chosen)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Path, ArchiveTables, DeidTables]:
    folder = tmp_path_factory.mktemp("batch")
    write_inbox(folder / "inbox")
    return folder, *run(folder)


def test_frames_have_their_schemas_and_rows(done):
    _, _, out = done
    for name, schema in SCHEMAS.items():
        assert getattr(out, name).schema == schema, name
    counts = {name: len(getattr(out, name)) for name in SCHEMAS}
    assert counts == {
        "files": 6,
        "instances": 2,
        "studies": 1,
        "reports": 1,
        "ehr_patients": 1,
        "ehr_encounters": 1,
        "ehr_orders": 1,
        "audit": 2,
        "quarantine": 0,
    }
    assert set(out.files["outcome"]) == {"released"}


def test_one_pseudonym_and_one_shift_for_images_text_and_tables(done):
    folder, _, out = done
    patient = NAMES.patient_key("12345678")
    for frame in (
        out.instances,
        out.studies,
        out.reports,
        out.ehr_patients,
        out.ehr_encounters,
        out.ehr_orders,
        out.audit,
    ):
        assert set(frame["patient_key"]) == {patient}
    assert set(out.ehr_orders["study_key"]) == set(out.studies["study_key"]) == set(out.reports["study_key"])
    study_date = out.studies["study_date"][0]
    assert out.ehr_orders["order_date"][0] == study_date
    assert out.ehr_encounters["admit_date"][0] == study_date
    assert study_date in out.reports["report_text"][0]
    assert out.ehr_encounters["discharge_dttm"][0].endswith("T14:30")
    file = pydicom.dcmread(folder / "out" / out.instances["dicom_path"][0])
    assert f"{file.StudyDate[:4]}-{file.StudyDate[4:6]}-{file.StudyDate[6:]}" == study_date
    assert out.ehr_encounters["age_at_visit"][0] == 90
    assert out.ehr_patients.row(0, named=True)["zip3"] == "627"


def test_nothing_known_is_left_in_the_report(done):
    _, _, out = done
    text = out.reports["report_text"][0]
    for word in (
        "Wexbury",
        "WEXBURY",
        "Odalys",
        "12345678",
        "1956",
        "Cedar",
        "Quintero",
        "867",
        "Okonkwo",
        "Thaddeus",
    ):
        assert word not in text
    assert "Pfirrmann grade IV degeneration at L4-L5. Schmorl node at L2. The conus ends at L1." in text


def test_the_crosswalk_opens_with_the_key_only(done):
    _, _, out = done
    rows = unseal(out.crosswalk, KEY)
    assert ("patient", "0012345678", NAMES.patient_key("12345678")) in rows.rows()
    assert b"12345678" not in out.crosswalk
    with pytest.raises(CrosswalkError):
        unseal(out.crosswalk, b"another key of thirty-two bytes!")


def test_a_rerun_gives_the_same_bytes(done, tmp_path):
    folder, archive, out = done
    again = deidentify_batch(archive, key=KEY, out=tmp_path, settings=SETTINGS)
    for field in fields(DeidTables):
        first, second = getattr(out, field.name), getattr(again, field.name)
        assert first.equals(second) if isinstance(first, pl.DataFrame) else first == second
    for path in out.instances["dicom_path"]:
        assert (folder / "out" / path).read_bytes() == (tmp_path / path).read_bytes()


def test_two_processes_in_opposite_order_agree():
    code = (
        f"import sys, json; from spine_models.corpus.deid import Pseudonymizer; p = Pseudonymizer({KEY!r});"
        "ids = [f'{n:06d}' for n in range(200)][::int(sys.argv[1])];"
        "of = lambda i: [p.patient_key(i), p.uid('1.2.3.' + str(int(i))), p.shift_days(p.patient_key(i), 365)];"
        "print(json.dumps({i: of(i) for i in ids}))"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code, step], capture_output=True, text=True, check=True).stdout
        for step in ("1", "-1")
    ]
    assert json.loads(outputs[0]) == json.loads(outputs[1])
    assert list(json.loads(outputs[0])) != list(json.loads(outputs[1]))


def test_what_cannot_be_resolved_is_quarantined_with_a_reason(tmp_path):
    def edit(inbox: Path) -> None:
        (inbox / "reports" / "NOBODY1.txt").write_text("Report of nobody.", encoding="utf-8")
        write_csv(inbox / "ehr" / "patients.csv", [PATIENT_ROW, PATIENT_ROW | {"mrn": "99999"}])
        write_csv(inbox / "ehr" / "orders.csv", [ORDER_ROW | {"mrn": "88888"}])
        ct = mr(
            SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
            Modality="CT",
            StudyInstanceUID="1.2.3.55",
            SeriesInstanceUID="1.2.3.56",
            SOPInstanceUID="1.2.3.57",
            PatientID="777",
            AccessionNumber="CT1",
        )
        (inbox / "dicom" / "ct.dcm").write_bytes(part10(ct))

    write_inbox(tmp_path / "inbox", edit=edit)
    archive, out = run(tmp_path)
    reasons = sorted(zip(out.quarantine["kind"], out.quarantine["reason"], strict=True))
    assert reasons == [
        ("dicom", "not_mr"),
        ("ehr", "unresolved_patient"),
        ("ehr", "unresolved_patient"),
        ("report", "unresolved_patient"),
    ]
    outcomes = dict(
        out.files.group_by("kind", "outcome")
        .len()
        .select(pl.concat_str("kind", "outcome"), "len")
        .iter_rows()
    )
    assert outcomes == {
        "dicomreleased": 2,
        "dicomquarantined": 1,
        "ehrreleased": 2,
        "ehrquarantined": 1,
        "reportreleased": 1,
        "reportquarantined": 1,
    }
    assert len(out.files) == len(archive.files)


def test_a_study_of_two_patients_is_held_back_whole(tmp_path):
    write_inbox(tmp_path / "inbox")
    archive = archive_of(tmp_path / "inbox")
    mixed = archive.instances.with_columns(patient_id=pl.Series(["0012345678", "222"]))
    tables_ = ArchiveTables(
        **{f.name: getattr(archive, f.name) for f in fields(ArchiveTables)} | {"instances": mixed}
    )
    out = deidentify_batch(tables_, key=KEY, out=tmp_path / "out", settings=SETTINGS)
    assert len(out.instances) == 0
    assert set(out.quarantine["reason"]) >= {"conflicting_patient"}


@pytest.mark.parametrize(("number", "expected"), [("ACC7654321", 1), ("OTHER1", 1)])
def test_an_order_finds_its_own_patients_study_when_two_share_an_accession_number(tmp_path, number, expected):
    def edit(inbox: Path) -> None:
        other = mr(
            StudyInstanceUID="1.2.3.77",
            SeriesInstanceUID="1.2.3.78",
            SOPInstanceUID="1.2.3.79",
            PatientID="0055501",
            PatientName="Tarrow^Ilse",
            AccessionNumber=number,
        )
        (inbox / "dicom" / "other.dcm").write_bytes(part10(other))
        write_csv(inbox / "ehr" / "orders.csv", [ORDER_ROW | {"study_instance_uid": ""}])

    write_inbox(tmp_path / "inbox", edit=edit)
    _, out = run(tmp_path)
    own = out.studies.filter(patient_key=NAMES.patient_key("0012345678"))["study_key"].to_list()
    assert len(out.studies) == 2
    assert out.ehr_orders["study_key"].to_list() == own
    assert len(own) == expected


def test_a_file_that_changed_since_it_was_indexed_is_held_back(tmp_path):
    write_inbox(tmp_path / "inbox")
    archive = archive_of(tmp_path / "inbox")
    (tmp_path / "inbox" / "dicom" / "0.dcm").write_bytes(part10(mr(PatientName="Other")))
    out = deidentify_batch(archive, key=KEY, out=tmp_path / "out", settings=SETTINGS)
    assert out.quarantine["reason"].to_list() == ["content_changed"]


def test_an_unknown_column_stops_the_batch_before_anything_is_written(tmp_path):
    write_inbox(
        tmp_path / "inbox",
        edit=lambda inbox: write_csv(inbox / "ehr" / "patients.csv", [PATIENT_ROW | {"tattoo": "yes"}]),
    )
    with pytest.raises(DeidPolicyError, match="'tattoo'") as error:
        run(tmp_path)
    assert "Wexbury" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_year_only(tmp_path):
    write_inbox(tmp_path / "inbox")
    _, out = run(tmp_path, dates="year_only", hipaa_basis="safe_harbor")
    assert (out.studies["study_date"][0], out.ehr_orders["order_date"][0]) == ("2024", "2024")
    assert set(out.audit["hipaa_basis"]) == {"safe_harbor"}


def test_an_empty_archive_gives_empty_frames(tmp_path):
    write_inbox(tmp_path / "inbox")
    archive = archive_of(tmp_path / "inbox")
    empty = ArchiveTables(**{f.name: getattr(archive, f.name).clear() for f in fields(ArchiveTables)})
    out = deidentify_batch(empty, key=KEY, out=tmp_path / "out", settings=SETTINGS)
    assert all(
        getattr(out, name).is_empty() and getattr(out, name).schema == schema
        for name, schema in SCHEMAS.items()
    )
