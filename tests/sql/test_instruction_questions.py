"""What the questions on instruction items answer."""

from __future__ import annotations

import pytest

from tests.sql.tiny_lake import key


def of(rows, **where):
    return next(row for row in rows if all(row[name] == value for name, value in where.items()))


def test_the_mix_counts_items_by_kind_and_tells_duplicates_and_positions(answer, lake):
    rows = answer("instruction_mix")
    assert [(r["set"], r["kind"], r["items"]) for r in rows] == [
        ("items", "choice", 1),
        ("items", "short", 1),
        ("benchmark", "choice", 1),
        ("benchmark", "report", 1),
        ("refused", "short", 1),
    ]
    choice = of(rows, set="items", kind="choice")
    assert (choice["position_spread"], choice["duplicate_share"], choice["verified_share"]) == (1, 0.0, 1.0)
    assert of(rows, set="refused")["verified_share"] == 0.0
    lake.repeat("instructions.items", kind="choice")
    lake.rows["instructions.items"][-1].update(item_key=key("item", "other"), writer="tiny")
    choice = of(answer("instruction_mix"), set="items", kind="choice")
    assert (choice["items"], choice["by_model"], choice["position_spread"]) == (2, 1, 2)
    assert choice["duplicate_share"] == pytest.approx(1.0)


def test_a_test_patient_among_the_items_is_a_leak(answer, lake):
    rows = [row for row in answer("split_leakage") if row["stage"] == "instructions"]
    assert [(row["patients"], row["test_patients"]) for row in rows] == [(1, 0)]
    lake.change("instructions.items", patient_key=key("ben"))
    rows = [row for row in answer("split_leakage") if row["stage"] == "instructions"]
    assert [row["test_patients"] for row in rows] == [1]
