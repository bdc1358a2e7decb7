"""What the questions about retrieval answer on the tiny lake."""

from __future__ import annotations

import pytest

from tests.sql.tiny_lake import key


def test_recall_stands_beside_chance_baselines_and_gain(answer):
    rows = answer("retrieval_recall")
    ours, theirs, absent = rows
    assert (ours["encoder"], theirs["encoder"]) == ("clip-tri_modal", "pixel_pca+linear")
    assert ours["recall_5"] == pytest.approx(0.5)
    assert ours["chance_recall_5"] == pytest.approx(0.4)
    assert (ours["gain"], ours["gain_low"], ours["next_best"]) == (0.25, 0.1, "pixel_pca")
    assert theirs["gain"] is None
    assert (absent["recall_5"], absent["reason"]) == (None, "no test study has both")


def test_similar_reports_show_what_both_have(answer):
    rows = [row for row in answer("similar_reports") if row["study_key"] == key("study", 1)]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert [row["neighbour_study_key"] for row in rows] == sorted(key("study", n) for n in (0, 3, 4))
    assert {tuple(row["conditions"]) for row in rows} == {("canal",)}
    assert {row["shared"] for row in rows} == {1}


def test_a_study_without_a_label_shares_nothing(answer, lake):
    study = key("study", 1)
    lake.rows["labels.consensus"] = [r for r in lake.rows["labels.consensus"] if r["study_key"] != study]
    rows = [row for row in answer("similar_reports") if row["study_key"] == study]
    assert {(tuple(row["conditions"]), row["shared"]) for row in rows} == {((), 0)}


def test_a_test_patient_in_the_pool_is_a_leak(answer, lake):
    lake.change("retrieval.neighbours", neighbour_patient_key=key("ben"))
    rows = {row["stage"]: row["test_patients"] for row in answer("split_leakage")}
    assert rows.pop("retrieval") == 1
    assert set(rows.values()) == {0}
