"""A batch's fingerprint changes with what its index takes of the tables, and not with rows of other patients."""

from __future__ import annotations

import os
import random

import polars as pl
import pytest

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import fingerprints, index_batch, scan_inbox, settled, table_rows
from spine_models.corpus.archive.table_rows import UNREADABLE

SETTINGS = ArchiveSettings(batch_studies=1, workers=1)
PATIENTS = "123"


def scan(inbox, ledger=None):
    return scan_inbox(inbox, cohort="internal", ledger=ledger, settings=SETTINGS)


def changed(before, after):
    one, two = fingerprints(before), fingerprints(after)
    return {batch[-1] for batch in two if one.get(batch) != two[batch]}


def index_of(ledger):
    """Everything that the index of each batch says, as text."""
    found = {}
    for batch in ledger["batch_key"].unique().sort():
        tables = index_batch(ledger, batch, settings=SETTINGS)
        found[batch] = [getattr(tables, name).write_json() for name in ("files", "studies", "reports", "ehr")]
    return found


def holders(ledger, name):
    """Batches that have the file: a table that changed moves to the batch that is the last one then."""
    return {batch[-1] for batch in ledger.filter(relative_path=name)["batch_key"]}


@pytest.fixture
def three(put, inbox):
    for patient in PATIENTS:
        put(f"dicom/{patient}", study=patient)
    put("ehr/patients.csv", "mrn,sex\n1,F\n2,M\n3,F\n")
    return scan(inbox)


def test_a_new_ehr_table_concerns_the_batches_of_its_patients(put, inbox, three):
    put("ehr/2024-05-01.csv", "mrn,sex\n02,M\n")
    second = scan(inbox, three)
    # The third has the file, as the last batch, the second its rows.
    assert changed(three, second) == {"2", "3"}
    put("ehr/2024-05-02.csv", "accession,exam\nacc1,spine\n")
    third = scan(inbox, second)
    assert changed(second, third) == {"1", "3"}
    put("reports/more.csv", "accession_number,report_text\nACC2,Disc.\n")
    fourth = scan(inbox, third)
    assert changed(third, fourth) == {"2", *holders(fourth, "reports/more.csv")}


def test_rows_that_are_added_changed_or_removed_concern_their_patient(put, inbox, three):
    name = "ehr/patients.csv"
    put(name, "mrn,sex\n1,M\n2,M\n3,F\n")
    os.utime(inbox / name, ns=(1, 1))
    second = scan(inbox, three)
    assert changed(three, second) == {"1", *holders(three, name), *holders(second, name)}
    put(name, "mrn,sex\n1,M\n2,M\n")
    third = scan(inbox, second)
    assert changed(second, third) == {"3", *holders(second, name), *holders(third, name)}
    (inbox / name).unlink()
    assert changed(third, scan(inbox, third)) == {"1", "2", *holders(third, name)}


def test_a_table_that_cannot_be_read_concerns_everybody(put, inbox, three):
    put("ehr/torn.csv", 'mrn,sex\n1,"F\n')
    second = scan(inbox, three)
    (packed,) = second.filter(relative_path="ehr/torn.csv")["table_rows"]
    assert packed[32:] == UNREADABLE
    assert changed(three, second) == set(PATIENTS)


def test_a_copy_of_a_table_of_another_form_is_told_by_its_bytes(put, inbox):
    for patient in PATIENTS:
        put(f"dicom/{patient}", study=patient)
    line = '{"accession": "ACC1", "text": "Disc."}\n'
    put("reports/b.jsonl", line)
    first = scan(inbox)
    put("dicom/4", study="4")
    put("reports/a.csv", line)
    second = scan(inbox, first)
    (holder,) = holders(second, "reports/a.csv")
    was = index_of(second)
    (inbox / "reports/b.jsonl").unlink()
    third = scan(inbox, second)
    assert was[f"internal-000{holder}"] != index_of(third)[f"internal-000{holder}"]
    assert holder in changed(second, third)


def test_a_new_study_leaves_the_holders_of_old_tables_alone(put, inbox, three):
    put("dicom/4", study="4")
    assert changed(three, scan(inbox, three)) == {"4"}
    put("ehr/patients.csv", "mrn,sex\n1,F\n2,M\n3,F\n5,M\n")
    second = scan(inbox, three)
    holder = holders(second, "ehr/patients.csv")
    put("dicom/5", study="5")
    # The holder had the row of nobody known; somebody has it now.
    assert changed(second, scan(inbox, second)) == {*holder, "5"}


def test_a_look_with_nothing_new_opens_no_table(put, inbox, three, monkeypatch):
    put("ehr/torn.csv", 'mrn,sex\n1,"F\n')
    second = scan(inbox, three)
    monkeypatch.setattr(table_rows, "packed", lambda *_: pytest.fail("a table was opened"))
    third = scan(inbox, second)
    assert third.equals(second)
    fingerprints(third)


def test_a_ledger_of_the_version_before_counts_whole_tables(put, inbox, three):
    old = three.drop("table_rows")
    grown = old.with_columns(
        pl.when(pl.col("kind") == "ehr").then(1).otherwise(pl.col("mtime_ns")).alias("mtime_ns")
    )
    assert changed(old, grown) == set(PATIENTS)
    assert scan(inbox, old).equals(three)


def test_a_table_that_is_written_meanwhile_is_not_settled(put, inbox, three, tmp_path):
    assert settled(three, "internal-0001")
    path = inbox / "ehr/patients.csv"
    content = path.read_bytes()
    path.write_bytes(content[:12])
    assert not settled(three, "internal-0001")
    path.unlink()
    assert not settled(three, "internal-0001")
    inbox.rename(tmp_path / "away")
    assert settled(three, "internal-0001")


TABLES = (
    "ehr/patients.csv",
    "ehr/a/patients.csv",
    "ehr/z/patients.csv",
    "ehr/orders.csv",
    "reports/a.csv",
    "reports/z.csv",
    "reports/b.jsonl",
)


def table_of(name, draw):
    if draw.random() < 0.08:
        return draw.choice(["", 'mrn,sex\n"', "a,b\n1,2\n"])
    if name.startswith("ehr"):
        key = draw.choice(["mrn", "accession", "study_uid"])
        stem = {"mrn": "00", "accession": "acc", "study_uid": "1.2.826.0.1."}[key]
        rows = [f"{stem}{draw.randint(1, 5)},{draw.choice('FM')}" for _ in range(draw.randint(1, 3))]
        return "\n".join([f"{key},sex", *rows]) + "\n"
    rows = [(f"ACC{draw.randint(1, 5)}", draw.choice(["Disc.", "Canal."])) for _ in range(draw.randint(1, 3))]
    if name.endswith(".csv"):
        return "accession_number,report_text\n" + "".join(f"{a},{text}\n" for a, text in rows)
    return "".join(f'{{"accession": "{a}", "text": "{text}"}}\n' for a, text in rows)


def step(put, inbox, draw, clock):
    """One thing that happens to an inbox: a table comes, changes, is copied or goes; a study comes or goes."""
    there = [name for name in TABLES if (inbox / name).exists()]
    what = draw.random()
    if what < 0.15 and there:
        (inbox / draw.choice(there)).unlink()
        return
    if what < 0.3:
        study = draw.choice("12345")
        path = inbox / f"dicom/{study}"
        if path.exists() and draw.random() < 0.5:
            path.unlink()
            return
        # Two studies of one patient, and two of one accession number, now and then.
        patient, accession = draw.choice([study, "1"]), draw.choice([study, "2"])
        put(f"dicom/{study}", study=study, PatientID=f"0{patient}", AccessionNumber=f"ACC{accession}")
        os.utime(path, ns=(clock, clock))
        return
    name = draw.choice(TABLES)
    alike = [other for other in there if other.split("/")[0] == name.split("/")[0]]
    content = (inbox / draw.choice(alike)).read_text() if what < 0.45 and alike else table_of(name, draw)
    put(name, content)
    os.utime(inbox / name, ns=(clock, clock))


@pytest.mark.parametrize("seed", [*range(6), 129])
def test_whatever_changes_an_index_changes_its_fingerprint(put, inbox, seed):
    draw = random.Random(seed)
    for study in "12":
        put(f"dicom/{study}", study=study)
    ledger = scan(inbox)
    index, prints = index_of(ledger), fingerprints(ledger)
    spared = remade = 0
    for clock in range(1, 31):
        step(put, inbox, draw, clock * 10**9)
        ledger = scan(inbox, ledger)
        now_index, now_prints = index_of(ledger), fingerprints(ledger)
        for batch, content in now_index.items():
            same = now_prints[batch] == prints.get(batch)
            assert not same or content == index[batch], f"step {clock}"
            spared, remade = spared + same, remade + (not same)
        index, prints = now_index, now_prints
    assert min(spared, remade) > 0


@pytest.mark.parametrize("seed", range(4))
def test_a_table_of_other_patients_changes_no_fingerprint_of_a_batch(put, inbox, seed):
    draw = random.Random(seed)
    for study in "1234":
        put(f"dicom/{study}", study=study)
    ledger = scan(inbox)
    for number in range(8):
        whom = draw.sample("1234", draw.randint(1, 3))
        put(f"ehr/day{number}.csv", "mrn,sex\n" + "".join(f"{p},{number}\n" for p in whom))
        texts = "".join(f"ACC{p},Text {number}.\n" for p in whom)
        put(f"reports/day{number}.csv", "accession_number,report_text\n" + texts)
        after = scan(inbox, ledger)
        held = holders(after, f"ehr/day{number}.csv") | holders(after, f"reports/day{number}.csv")
        assert changed(ledger, after) == {*whom, *held}
        ledger = after
