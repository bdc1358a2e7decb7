"""What the sequence questions answer, on the tiny lake and on lakes with one thing changed."""

from __future__ import annotations

import pytest


def test_the_scanner_matrix_counts_each_series_once(answer, lake):
    rows = answer("scanner_matrix")
    assert sum(row["series"] for row in rows) == len(lake.rows["sequences.series"])
    assert [(row["scanner_model"], row["contrast"], row["series"]) for row in rows] == [
        ("Aera", "STIR", 5), ("Aera", "T1", 5), ("Aera", None, 5),
    ]  # fmt: skip
    assert [row["share_of_scanner"] for row in rows] == [pytest.approx(1 / 3)] * 3


def test_a_second_scanner_has_shares_of_its_own_and_an_unnamed_one_comes_last(answer, lake):
    lake.change(
        "sequences.series",
        where={"contrast": "T1"},
        vendor="GE",
        scanner_model="Artist",
        field_strength_t=3.0,
    )
    lake.change(
        "sequences.series", where={"contrast": "STIR"}, vendor=None, scanner_model=None, field_strength_t=None
    )
    rows = answer("scanner_matrix")
    assert (rows[0]["vendor"], rows[0]["field_strength_t"], rows[0]["share_of_scanner"]) == ("GE", 3.0, 1.0)
    assert (rows[-1]["vendor"], rows[-1]["contrast"], rows[-1]["series"]) == (None, "STIR", 1)
    siemens = [row["share_of_scanner"] for row in rows if row["vendor"] == "Siemens"]
    assert sum(siemens) == pytest.approx(1)


def test_a_scanner_whose_headers_contradict_themselves_shows(answer, lake):
    lake.change("sequences.series", where={"contrast": "T1"}, disagreement="text says T2, timing says T1")
    assert {row["contrast"]: row["disagreements"] for row in answer("scanner_matrix")} == {
        "T1": 1,
        "STIR": 0,
        None: 0,
    }


def test_disagreements_are_counted_by_what_is_said(answer, lake):
    (row,) = answer("sequence_disagreements")
    assert (row["source_a"], row["says_a"], row["source_b"], row["says_b"]) == (
        "text",
        "T2-FS",
        "timing",
        "STIR",
    )
    assert (row["series"], row["studies"], row["decision"], row["vendors"]) == (5, 5, "STIR", "Siemens")
    lake.change("sequences.disagreements", source_b="pixels", confidence_b=0.8)
    rows = answer("sequence_disagreements")
    assert [(row["source_b"], row["series"]) for row in rows] == [("timing", 4), ("pixels", 1)]


def test_one_series_with_two_contradictions_is_one_series_in_each(answer, lake):
    lake.repeat("sequences.disagreements")
    lake.repeat("sequences.disagreements")
    (row,) = answer("sequence_disagreements")
    assert row["series"] == 5
