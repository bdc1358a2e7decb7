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
    assert {row["over_clip"] for row in rows} == {None}


def test_what_the_synthesizer_adds_is_no_gain_over_a_baseline(answer, lake):
    """One row of scores stays one, with both gains beside it."""
    score = dict(lake.first("retrieval.scores"), sequence_set="all", query="study", encoder="synthesizer-a")
    lake.add("retrieval.scores", **score)
    gain = dict(lake.first("retrieval.gains"), sequence_set="all", query="study", encoder="synthesizer-a")
    lake.add("retrieval.gains", **gain)
    over = {"against": "without_synthesizer", "next_best": "t1+t2", "gain": None, "gain_low": None}
    reason = "the other finds no report"
    lake.add(
        "retrieval.gains", **gain | over | {"gain_high": None, "status": "not_evaluable", "reason": reason}
    )
    (row,) = [row for row in answer("retrieval_recall") if row["query"] == "study"]
    assert (row["gain"], row["next_best"], row["over_clip"]) == (0.25, "pixel_pca", None)
    assert row["reason"] == reason
    lake.change("retrieval.gains", where={"against": "without_synthesizer"}, gain=0.5, gain_low=0.2)
    (row,) = [row for row in answer("retrieval_recall") if row["query"] == "study"]
    assert (row["gain"], row["over_clip"], row["over_clip_low"]) == (0.25, 0.5, 0.2)


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
