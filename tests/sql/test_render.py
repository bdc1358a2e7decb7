"""Answers as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
import math

import duckdb
import pyarrow as pa
import pytest

from sql.render import ROWS_SHOWN, render


def answer(statement: str) -> pa.Table:
    with duckdb.connect() as connection:
        return connection.sql(statement).to_arrow_table()


MIXED = pa.table(
    {
        "text": ['a "quoted", [bold]text[/]', None, ""],
        "number": [1.5, math.nan, None],
        "items": [["x", None], [], None],
        "vector": pa.array([[1.0, math.inf], [0.5], None], pa.list_(pa.float32())),
        "nothing": pa.nulls(3),
    }
)


def test_json_is_an_array_of_objects_with_nulls():
    assert json.loads(render(MIXED, "json")) == [
        {
            "text": 'a "quoted", [bold]text[/]',
            "number": 1.5,
            "items": ["x", None],
            "vector": [1.0, None],
            "nothing": None,
        },
        {"text": None, "number": None, "items": [], "vector": [0.5], "nothing": None},
        {"text": "", "number": None, "items": None, "vector": None, "nothing": None},
    ]


def test_json_of_other_types():
    row = json.loads(
        render(
            answer(
                "SELECT 3::HUGEINT AS h, 1.25::DECIMAL(5, 2) AS d, DATE '2024-02-29' AS day, "
                "{'k': [1]} AS s, TRUE AS t, 'ü' AS u"
            ),
            "json",
        )
    )
    assert row == [{"h": 3, "d": 1.25, "day": "2024-02-29", "s": {"k": [1]}, "t": True, "u": "ü"}]


def test_an_empty_answer_in_every_format():
    empty = answer("SELECT 1 AS a, [1] AS b LIMIT 0")
    assert json.loads(render(empty, "json")) == []
    assert render(empty, "csv") == '"a","b"\n'
    assert render(empty, "table") == "a, b\nno rows\n"


def test_csv_is_read_back():
    rows = list(csv.DictReader(io.StringIO(render(MIXED, "csv"))))
    assert rows[0]["text"] == 'a "quoted", [bold]text[/]'
    assert rows[0]["items"] == '["x", null]'
    assert json.loads(rows[0]["vector"]) == [1.0, None]
    assert (rows[1]["text"], rows[1]["items"], rows[2]["items"], rows[2]["nothing"]) == ("", "[]", "", "")


def test_a_narrow_answer_is_a_grid_with_numbers_to_the_right():
    text = render(answer("SELECT 'released' AS outcome, NULL::VARCHAR AS reason, 12 AS files"), width=80)
    assert text == "outcome   reason  files\n────────  ──────  ─────\nreleased  -          12\n"


def test_names_fold_and_texts_are_cut_before_a_grid_is_given_up():
    table = answer(
        "SELECT 'a rather long text, too long' AS text, 1 AS a_number_with_a_name, 2 AS another_number_name"
    )
    lines = render(table, width=44).splitlines()
    assert max(map(len, lines)) <= 44
    assert "…" in lines[-1]
    assert lines[-1].split()[-2:] == ["1", "2"]
    assert render(table, width=30).startswith("row 1\n  text")


def test_a_record_keeps_lines_and_markup():
    table = answer("SELECT 'Findings [L4]\nNo fracture.' AS report, REPEAT('word ', 60) AS more")
    lines = render(table, width=60).splitlines()
    assert lines[0] == "row 1"
    assert lines[1] == "  report  Findings [L4]"
    assert lines[2] == "          No fracture."
    assert max(map(len, lines)) <= 60


def test_long_lists_and_long_answers_are_cut_in_a_table_only():
    table = answer(f"SELECT i, [1, 2, 3, 4, 5] AS v FROM RANGE({ROWS_SHOWN + 5}) AS r (i)")
    text = render(table, width=80)
    assert "1, 2, 3, … 2 more" in text
    assert text.splitlines()[-1] == f"{ROWS_SHOWN} of {ROWS_SHOWN + 5} rows; format csv or json gives all"
    assert len(json.loads(render(table, "json"))) == ROWS_SHOWN + 5


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="choose one of table, csv, json"):
        render(MIXED, "xml")
