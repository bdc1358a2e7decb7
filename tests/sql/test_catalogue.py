"""SQL files are found, described and well formed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sql import catalogue
from sql.catalogue import FOLDER, CatalogueError, checks, queries, schemas
from sql.declarations import declarations

FILES = sorted(FOLDER.rglob("*.sql"))
KEYWORDS = (
    "select|from|where|group by|order by|having|with|join|left join|union all|create|table|view|case|when|then|else|end"
    "|and|or|not|is null|as|on|in|between|limit|values|qualify|partition by|filter|lambda"
)


def test_everything_is_found():
    assert len(schemas()) == len(list((FOLDER / "schema").glob("*.sql")))
    assert len(checks()) == len(list((FOLDER / "checks").glob("*.sql")))
    assert len(queries()) == len(list((FOLDER / "queries").glob("*.sql")))


def test_the_questions_of_the_readme_are_there():
    assert set(queries()) >= {
        "file_ledger", "cohort_table", "sequence_counts", "reject_reasons", "deid_audit", "label_prevalence",
        "split_leakage", "auroc_by_condition", "sentence_provenance", "retrieval_recall", "similar_reports",
    }  # fmt: skip


def test_a_check_is_about_a_declared_table():
    tables = {table.name for table in declarations()[0]}
    assert {check.table for check in checks().values()} <= tables


def test_names_of_queries_and_checks_do_not_meet():
    assert not set(queries()) & set(checks())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_is_written_in_the_house_style(path: Path):
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    code = re.sub(r"--.*|'[^']*'", "", text)
    assert not re.findall(rf"\b(?:{KEYWORDS})\b", code), "SQL keywords are upper-case"
    assert re.fullmatch(r"[a-z0-9_]+", path.stem)
    assert all(len(line) <= 120 for line in text.splitlines())
    if path.parent.name != "schema":
        assert code.count(";") == 1, "one statement"


def test_headers_are_read():
    check = checks()["deid__every_file_has_one_outcome"]
    assert (check.stage, check.rule, check.severity) == ("deid", "every_file_has_one_outcome", "error")
    assert check.description.startswith("Every inbox file")
    assert "severity" not in check.description
    query = queries()["file_ledger"]
    assert list(query.columns) == ["outcome", "reason", "files"]
    assert query.columns["files"] == "number of files"


@pytest.mark.parametrize(
    ("folder", "name", "text", "reason"),
    [
        ("checks", "deid__x", "-- A rule.\n-- table: deid.files\nSELECT 1;\n", "severity"),
        (
            "checks",
            "deid__x",
            "-- A rule.\n-- severity: fatal\n-- table: deid.files\nSELECT 1;\n",
            "severity",
        ),
        ("checks", "deid__x", "-- A rule.\n-- severity: warn\nSELECT 1;\n", "table: deid"),
        (
            "checks",
            "deid__x",
            "-- A rule.\n-- severity: warn\n-- table: labels.verdicts\nSELECT 1;\n",
            "table: deid",
        ),
        (
            "checks",
            "archive__x",
            "-- A rule.\n-- severity: warn\n-- table: archive.files\nSELECT 1;\n",
            "<stage>__",
        ),
        ("queries", "x", "-- Why?\nSELECT 1;\n", "columns"),
        ("queries", "x", "SELECT 1;\n", "first line"),
        ("schema", "x", "-- What.\nCREATE SCHEMA x;\n", "one file for each stage"),
    ],
)
def test_a_badly_written_file_is_named(folder, name, text, reason, tmp_path, monkeypatch):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / f"{name}.sql").write_text(text)
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    read = {"checks": checks, "queries": queries, "schema": schemas}[folder]
    with pytest.raises(CatalogueError, match=re.escape(reason)) as raised:
        read.__wrapped__()
    assert f"sql/{folder}" in str(raised.value)
