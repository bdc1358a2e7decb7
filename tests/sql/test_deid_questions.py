"""What the audit questions about de-identification answer, on the tiny lake and with one thing changed."""

from __future__ import annotations

import pytest


def test_actions_per_batch_add_up_to_the_audit(answer, lake):
    lake.change("deid.audit", dates_shifted=4)
    rows = answer("deid_actions")
    assert len(rows) == 14, "seven actions in two batches, those that touched nothing included"
    of = {(row["batch_key"], row["action"]): row for row in rows}
    assert [row["action"] for row in rows][:2] == ["removed", "emptied"]
    first = of["internal-0001", "removed"]
    assert (first["elements"], first["per_instance"], first["instances"]) == (30, 3, 10)
    assert (
        of["internal-0001", "dates_shifted"]["elements"],
        of["internal-0001", "dates_shifted"]["instances"],
    ) == (4, 1)
    assert of["internal-0002", "dates_shifted"]["elements"] == 0
    audit = lake.rows["deid.audit"]
    assert sum(row["elements"] for row in rows if row["action"] == "kept") == sum(
        row["kept"] for row in audit
    )


def test_one_row_of_keys_is_a_sound_lake(answer, lake):
    (row,) = answer("deid_keys")
    assert (row["batches"], row["patients"], row["instances"], row["engine"]) == (2, 4, 25, "e1")
    lake.change("deid.audit", key_id="0123456789ab")
    assert [row["instances"] for row in answer("deid_keys")] == [24, 1]


def test_quarantine_reasons_are_shares_of_their_kind_and_name_no_site(answer, lake):
    (row,) = answer("quarantine_reasons")
    assert (row["cohort"], row["kind"], row["reason"], row["files"], row["batches"]) == (
        "internal",
        "dicom",
        "not_mr",
        1,
        1,
    )
    assert row["share_of_kind"] == pytest.approx(1 / 28)
    assert not {"vendor", "station_name", "inbox", "relative_path"} & set(row)


def test_date_integrity_shows_every_patient_and_problems_first(answer, lake):
    rows = answer("date_integrity")
    assert len(rows) == 4
    assert {row["problems"] for row in rows} == {0}
    assert sum(row["intervals"] for row in rows) == 10
    changed = lake.rows["deid.date_integrity"][-1]
    changed.update(wrong_intervals=1, wrong_dates=1)
    rows = answer("date_integrity")
    assert (rows[0]["patient_key"], rows[0]["problems"]) == (changed["patient_key"], 2)
