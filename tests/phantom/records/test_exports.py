import csv
import json
import re

import numpy as np
import pytest

from spine_models.corpus.archive.text_tables import read_reports
from spine_models.corpus.deid.dates import safe_date
from spine_models.phantom.records.ehr import ENCOUNTERS, ORDERS, PATIENTS, write_ehr
from spine_models.phantom.records.exports import encoded, write_reports


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16"])
def test_archive_reads_every_encoding_that_sites_write(tmp_path, encoding):
    path = tmp_path / "A1.txt"
    path.write_bytes(encoded("Müllerström - patient's canal stenosis at L4-L5.", encoding))
    text = read_reports(path)[0].report_text
    assert "Müllerström" in text
    assert "canal stenosis at L4-L5." in text


def test_letters_that_an_encoding_lacks_become_plain():
    assert encoded("Şahinbaş", "latin-1") == b"Sahinbas"


def test_reports_of_nobody_are_written_too(tmp_path):
    rng = np.random.default_rng(1)
    rows = [(f"A{n}", f"report {n}", n % 2 == 0, n != 4) for n in range(8)]
    files = dict(write_reports(tmp_path, rows, rng))
    assert set(files) == {p.name for p in tmp_path.iterdir()}
    assert files["RS9999999.txt"] == "quarantined"
    assert files["A1.txt"] == "released"
    lines = [json.loads(line) for line in (tmp_path / "archive.jsonl").read_text().splitlines()]
    assert {"", "RS9999998"} <= {line["accession_number"] for line in lines}
    tables = [r for name in ("archive.jsonl", "ris_export.csv") for r in read_reports(tmp_path / name)]
    assert {r.accession_number for r in tables} >= {"A0", "A2", "A4", "A6"}


@pytest.fixture(scope="module")
def ehr(visits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ehr")
    studies = [visit.study for visit, _ in visits(60, 2)]
    write_ehr(folder, studies, np.random.default_rng(3))
    return folder, studies


def table(folder, name, **how):
    with (folder / name).open(encoding="utf-8-sig") as file:
        return list(csv.DictReader(file, **how))


def test_ehr_has_every_column_of_the_default_policy(ehr):
    folder, _ = ehr
    assert tuple(table(folder, "patients.csv")[0]) == PATIENTS
    assert tuple(table(folder, "encounters.csv")[0]) == ENCOUNTERS
    assert tuple(table(folder, "orders.csv", delimiter=";")[0]) == ORDERS
    assert all(row["license"] and row["portal_url"] for row in table(folder, "patients.csv"))


def test_record_numbers_lose_their_zeros_and_still_join(ehr):
    folder, studies = ehr
    mrns = {s.patient.mrn for s in studies}
    seen = {row["mrn"] for row in table(folder, "encounters.csv")}
    assert seen - mrns
    assert {m.lstrip("0") for m in seen} == {m.lstrip("0") for m in mrns}


def test_dates_are_mixed_and_none_can_be_misread(ehr):
    folder, _ = ehr
    shapes = {re.sub(r"\d", "9", row["admit_date"]) for row in table(folder, "encounters.csv")}
    assert {"9999-99-99", "99/99/9999", "99.99.9999", "99999999"} <= shapes
    for row in table(folder, "patients.csv"):
        if match := re.fullmatch(r"(\d\d)/(\d\d)/(\d{4})", row["dob"]):
            assert safe_date(int(match[3]), int(match[1]), int(match[2])) is not None


def test_one_to_three_encounters_a_patient(ehr):
    folder, _ = ehr
    rows = table(folder, "encounters.csv")
    counts = {}
    for row in rows:
        counts[row["mrn"].lstrip("0")] = counts.get(row["mrn"].lstrip("0"), 0) + 1
    assert set(counts.values()) == {1, 2, 3}
    assert len({row["encounter_id"] for row in rows}) == len(rows)
