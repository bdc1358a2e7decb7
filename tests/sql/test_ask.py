"""Questions by name and by statement; reading only, and only the lake."""

from __future__ import annotations

import shutil

import pytest

from sql.ask import QuestionError, ask
from sql.catalogue import checks, queries
from sql.warehouse import WarehouseError, build_warehouse


@pytest.fixture(scope="module")
def warehouse(valid, tmp_path_factory):
    return build_warehouse(valid, tmp_path_factory.mktemp("ask") / "warehouse.duckdb").path


@pytest.mark.parametrize("name", queries())
def test_a_query_answers_with_the_columns_it_documents(name, warehouse):
    assert ask(warehouse, name).column_names == list(queries()[name].columns)


@pytest.mark.parametrize(
    "name", sorted(set(queries()) - {"reject_reasons", "what_is_stale", "stale_embeddings", "review_queue"})
)
def test_a_query_has_rows_where_the_lake_has(name, warehouse):
    assert ask(warehouse, name).num_rows > 0


def test_every_query_runs_on_an_empty_lake(tmp_path):
    (tmp_path / "lake").mkdir()
    build_warehouse(tmp_path / "lake", tmp_path / "w.duckdb")
    for name, query in queries().items():
        answer = ask(tmp_path / "w.duckdb", name)
        assert answer.column_names == list(query.columns)
        assert answer.num_rows == (17 if name == "label_prevalence" else 0), name


def test_a_check_can_be_asked_by_name(warehouse):
    assert ask(warehouse, next(iter(checks()))).num_rows == 0


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 AS a",
        "  with x AS (SELECT 1 AS a) SELECT * FROM x ;",
        "DESCRIBE deid.files",
        "SHOW ALL TABLES",
        "SUMMARIZE deid.studies",
        "FROM labels.consensus LIMIT 1",
        "VALUES (1)",
        "-- a comment first\nSELECT COUNT(*) FROM embeddings.slices",
        "FROM queries.file_ledger",
        "FROM contents",
    ],
)
def test_reading_statements_are_answered(statement, warehouse):
    assert ask(warehouse, statement).num_rows > 0


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM deid.files",
        "WITH x AS (SELECT 1) INSERT INTO deid.files SELECT NULL FROM x",
        "CREATE TEMP TABLE x (a INTEGER)",
        "COPY deid.files TO 'x.csv'",
        "ATTACH 'x.duckdb'",
        "SET threads = 1",
        "PRAGMA database_list",
        "INSTALL httpfs",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE deid.files",
        "EXPLAIN ANALYZE SELECT 1",
        "CALL pragma_version()",
        "EXPORT DATABASE 'x'",
        "",
        "   ",
        "-- nothing",
    ],
)
def test_anything_else_is_refused(statement, warehouse, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = warehouse.read_bytes()
    with pytest.raises(QuestionError, match="one SELECT"):
        ask(warehouse, statement)
    assert warehouse.read_bytes() == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "statement", ["SELEC 1", "SELECT nothing FROM deid.files", "FROM archive.files", "SELECT 1 +"]
)
def test_what_duckdb_refuses_is_a_question_error(statement, warehouse):
    with pytest.raises(QuestionError, match="Error"):
        ask(warehouse, statement)


def test_an_unknown_name_lists_the_known_ones(warehouse):
    with pytest.raises(QuestionError, match="no question named file_legder") as raised:
        ask(warehouse, "file_legder")
    assert set(queries()) | set(checks()) <= set(str(raised.value).split())


def test_files_outside_the_lake_and_variables_stay_closed(warehouse, valid, tmp_path):
    (tmp_path / "secret.csv").write_text("name\nx\n")
    (valid.parent / "restricted.csv").write_text("name\nx\n")
    local = "a variable of the program"
    for source in (
        f"read_csv('{tmp_path / 'secret.csv'}')",
        f"read_csv('{valid}/../restricted.csv')",
        f"read_text('{valid}/../*')",
        f"glob('{tmp_path}/*')",
        "local",
    ):
        with pytest.raises(QuestionError):
            ask(warehouse, f"FROM {source}")
    assert local


def test_columns_of_the_same_name_are_told_apart(warehouse):
    answer = ask(warehouse, "SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a")
    assert len(set(answer.column_names)) == 4
    assert answer.column_names[0] == "a"
    assert [column[0].as_py() for column in answer.columns] == [1, 2, 3, 4]


def test_a_missing_or_wrong_file_is_said(tmp_path):
    with pytest.raises(WarehouseError, match="no warehouse at"):
        ask(tmp_path / "w.duckdb", "file_ledger")
    (tmp_path / "w.duckdb").write_bytes(b"something else" * 100)
    with pytest.raises(WarehouseError, match="is not a warehouse"):
        ask(tmp_path / "w.duckdb", "file_ledger")


def test_a_warehouse_moved_with_its_lake_reads_the_moved_lake(lake, tmp_path):
    home = tmp_path / "home"
    lake.write(home / "lake")
    build_warehouse(home / "lake", home / "warehouse.duckdb")
    before = ask(home / "warehouse.duckdb", "SELECT COUNT(*) AS n FROM embeddings.slices").to_pylist()
    home.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "warehouse.duckdb"
    assert ask(moved, "SELECT COUNT(*) AS n FROM embeddings.slices").to_pylist() == before
    assert ask(moved, "file_ledger").num_rows == 4
    assert ask(moved, "FROM queries.file_ledger").num_rows == 4


def test_a_copy_beside_its_own_lake_reads_that_one(lake, tmp_path):
    build_warehouse(lake.write(tmp_path / "home" / "lake"), tmp_path / "home" / "warehouse.duckdb")
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    for path in (tmp_path / "copy" / "lake" / "embeddings" / "slices").iterdir():
        path.unlink()
    assert ask(tmp_path / "copy" / "warehouse.duckdb", "FROM embeddings.slices").num_rows == 0
    assert ask(tmp_path / "home" / "warehouse.duckdb", "FROM embeddings.slices").num_rows == 20


def test_a_warehouse_without_its_lake_answers_from_its_copies(lake, tmp_path):
    build_warehouse(lake.write(tmp_path / "lake"), tmp_path / "warehouse.duckdb")
    shutil.rmtree(tmp_path / "lake")
    assert ask(tmp_path / "warehouse.duckdb", "file_ledger").num_rows == 4
    with pytest.raises(WarehouseError, match="build the warehouse again"):
        ask(tmp_path / "warehouse.duckdb", "FROM embeddings.slices")
