"""What the questions about reports' scores and readers answer on the tiny lake."""

from __future__ import annotations

import pytest


def test_every_method_stands_in_one_row_with_its_reason(answer):
    rows = {row["method"]: row for row in answer("report_scores")}
    assert list(rows) == ["agents", "agents_llm", "image_only", "retrieved"]
    agents, alone = rows["agents"], rows["image_only"]
    assert (agents["f1"], agents["precision"], agents["recall"]) == (0.6, 0.6, 0.6)
    assert (agents["false_positives"], agents["omissions"], agents["auroc"]) == (1, 1, 0.75)
    assert (agents["over_image_only"], agents["over_retrieved"], agents["reason"]) == (None, None, None)
    assert (alone["f1"], alone["n_missing"]) == (None, 1)
    assert alone["reason"] == "the language model wrote no report"


def test_a_ratio_stands_beside_its_own_method(answer, lake):
    lake.change(
        "scores.comparisons", where={"status": "not_evaluable"}, status="evaluated", value=0.6, against_value=0.3,
        difference=0.3, ratio=2.0, ratio_low=1.6, ratio_high=3.0, n_studies=1,
    )  # fmt: skip
    rows = {row["method"]: row for row in answer("report_scores")}
    assert rows["agents"]["over_image_only"] == pytest.approx(2.0)
    assert rows["agents"]["over_image_only_low"] == pytest.approx(1.6)
    assert rows["retrieved"]["over_image_only"] is None


def test_readers_are_summed_up_in_reading_order(answer):
    rows = answer("radpeer_summary")
    assert [row["measure"] for row in rows] == ["readings"] * 3 + ["share"] * 3 + ["edit_distance", "kappa"]
    assert [row["score"] for row in rows[:3]] == ["read", "unknown_draft", "other_study"]
    assert [row["score"] for row in rows[3:6]] == ["1", "2b", "4b"]
    assert (rows[-1]["reader"], rows[-1]["other"], rows[-1]["value"]) == ("r1", "r2", 0.0)
    assert rows[-2]["reason"] == "no corrected text with this score"
