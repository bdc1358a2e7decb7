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


def test_the_benchmark_shows_every_answerer_beside_the_others(answer):
    rows = [(r["dimension"], r["answerer"], r["measure"], r["score"]) for r in answer("benchmark_scores")]
    assert rows == [
        ("level", "agents", "accuracy", 0.5),
        ("level", "report_model", "accuracy", 1.0),
        ("level", "report_model_image_only", "accuracy", 0.0),
        ("all", "report_model", "accuracy", 1.0),
        ("all", "report_model_image_only", "accuracy", 0.0),
        ("report: all", "agents", "f1", 0.5),
        ("report: all", "report_model", "f1", 1.0),
        ("report: all", "report_model_image_only", "f1", 0.0),
    ]


def test_an_answerer_that_is_not_there_says_why(answer, lake):
    why = "no report model has been trained"
    for row in lake.rows["llava.benchmark_answers"]:
        row.update(chosen=None, nats=None, model_version=None, reason=why)
    lake.rows["llava.benchmark_scores"].clear()
    rows = [row for row in answer("benchmark_scores") if row["answerer"].startswith("report_model")]
    assert [(r["dimension"], r["n"], r["answered"], r["score"], r["reason"]) for r in rows] == [
        ("level", 1, 0.0, None, why),
        ("level", 1, 0.0, None, why),
        ("all", 1, 0.0, None, why),
        ("all", 1, 0.0, None, why),
    ]
