"""A warehouse shows the lake as declared, is replaced whole, and opens from anywhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap

import duckdb
import polars as pl
import pytest

from sql.catalogue import FOLDER
from sql.declarations import declarations
from sql.warehouse import WarehouseError, build_warehouse, open_lake


def everything(path) -> dict[str, list[tuple]]:
    tables, views = declarations()
    with duckdb.connect(path, read_only=True) as connection:
        rows = {table.name: connection.execute(f"FROM {table.name}").fetchall() for table in tables}
        for view in views:
            # A join has no order of its own.
            rows[view.name] = sorted(connection.execute(f"FROM {view.name}").fetchall(), key=repr)
    return rows


def test_every_table_holds_the_rows_of_the_lake_in_their_order(lake, tmp_path):
    lake.write(tmp_path / "lake")
    report = build_warehouse(tmp_path / "lake", tmp_path / "warehouse.duckdb")
    with duckdb.connect(report.path, read_only=True) as connection:
        for content in report.contents:
            stage, thing = content.name.split(".")
            files = sorted((tmp_path / "lake" / stage / thing).glob("*.parquet"))
            wanted = pl.concat([pl.read_parquet(file) for file in files]).rows()
            got = connection.execute(f"FROM {content.name}").fetchall()
            assert repr(got) == repr(wanted), content.name
            assert (content.rows, content.files) == (len(wanted), len(files))
    assert report.rows == sum(content.rows for content in report.contents) > 0


def test_a_lake_of_one_batch_and_one_of_two(lake, tmp_path):
    two = build_warehouse(lake.write(tmp_path / "two", "deid.studies"), tmp_path / "two.duckdb")
    for name in lake.rows:
        lake.rows[name] = [
            r for r in lake.rows[name] if r.get("batch_key", "internal-0001") == "internal-0001"
        ]
    one = build_warehouse(lake.write(tmp_path / "one", "deid.studies"), tmp_path / "one.duckdb")
    studies = [{c.name: c.rows for c in report.contents}["deid.studies"] for report in (one, two)]
    assert studies == [2, 5]


def test_small_tables_are_copied_and_large_ones_are_views(valid, tmp_path):
    report = build_warehouse(valid, tmp_path / "w.duckdb")
    kinds = {content.name: content.kind for content in report.contents}
    with duckdb.connect(report.path, read_only=True) as connection:
        base = {
            f"{schema}.{name}"
            for schema, name in connection.execute(
                "SELECT schema_name, table_name FROM duckdb_tables()"
            ).fetchall()
        }
        listed = connection.execute("SELECT table_name, kind FROM contents").fetchall()
    assert base - {"main.contents", "main.origin"} == {name for name, kind in kinds.items() if kind == "copy"}
    assert dict(listed) == kinds


def test_a_lake_without_files_has_every_table_empty_and_typed(tmp_path, schemas):
    build_warehouse(tmp_path, tmp_path / "w.duckdb")
    with duckdb.connect(tmp_path / "w.duckdb", read_only=True) as connection:
        for table in declarations()[0]:
            relation = connection.sql(f"FROM {table.name}")
            assert relation.columns == list(schemas[table.name])
            assert [str(kind) for kind in relation.types] == [column.type for column in table.columns]
            assert relation.fetchall() == []


def test_frames_with_the_schema_and_no_rows_are_fine(lake, tmp_path):
    for name in lake.rows:
        lake.rows[name] = []
    for name in ("deid.files", "labels.verdicts"):
        folder = tmp_path.joinpath(*name.split("."))
        folder.mkdir(parents=True)
        lake.frame(name).write_parquet(folder / "internal-0001.parquet")
    assert build_warehouse(tmp_path, tmp_path / "w.duckdb").rows == 0


@pytest.mark.parametrize("name", ["deid.files", "embeddings.slices"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda frame: frame.drop("batch_key"), "column batch_key is missing"),
        (lambda frame: frame.with_columns(extra=pl.lit(1)), "column extra is not in sql/schema"),
        (
            lambda frame: frame.with_columns(batch_key=pl.lit(1, pl.Int64)),
            "column batch_key is BIGINT, declared as VARCHAR",
        ),
    ],
)
def test_a_file_that_does_not_agree_is_named_with_its_column(name, change, said, lake, tmp_path):
    stage, thing = name.split(".")
    lake.write(tmp_path, name)
    path = tmp_path / stage / thing / "internal-0002.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    with pytest.raises(WarehouseError, match=rf"{name}, internal-0002.parquet: {said}"):
        build_warehouse(tmp_path, tmp_path / "w.duckdb")
    assert not (tmp_path / "w.duckdb").exists()
    assert not list(tmp_path.glob(".w.duckdb*")), "the unfinished file is taken away"
    with pytest.raises(WarehouseError, match=name):
        open_lake(tmp_path)


def test_a_file_that_is_not_parquet_is_named(valid, tmp_path):
    shutil.copytree(valid / "deid", tmp_path / "deid")
    (tmp_path / "deid" / "audit" / "internal-0002.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(
        WarehouseError, match=r"deid.audit, internal-0002.parquet: not a readable Parquet file"
    ):
        build_warehouse(tmp_path, tmp_path / "w.duckdb")


def test_columns_in_another_order_are_read_by_name(lake, tmp_path):
    lake.write(tmp_path, "embeddings.studies")
    path = tmp_path / "embeddings" / "studies" / "internal-0002.parquet"
    frame = pl.read_parquet(path)
    frame.select(reversed(frame.columns)).write_parquet(path)
    with open_lake(tmp_path) as connection:
        routes = connection.execute("SELECT DISTINCT route FROM embeddings.studies ORDER BY 1").fetchall()
    assert routes == [("t1",), ("t2",)]


def test_unfinished_files_and_artifacts_do_not_count(lake, tmp_path):
    lake.write(tmp_path, "deid.files")
    (tmp_path / "deid" / "files" / ".internal-0003.parquet").write_bytes(b"half")
    (tmp_path / "deid" / "files" / "internal-0003.parquet.tmp").write_bytes(b"half")
    (tmp_path / "deid" / "dicom" / "internal-0001" / "v1").mkdir(parents=True)
    report = build_warehouse(tmp_path, tmp_path / "w.duckdb")
    assert {c.name: c.files for c in report.contents}["deid.files"] == 2


def test_a_missing_lake_is_said(tmp_path):
    with pytest.raises(WarehouseError, match="no lake at"):
        build_warehouse(tmp_path / "nowhere", tmp_path / "w.duckdb")


def test_the_same_lake_gives_the_same_warehouse(valid, tmp_path):
    one = build_warehouse(valid, tmp_path / "1" / "w.duckdb")
    two = build_warehouse(valid, tmp_path / "2" / "w.duckdb")
    assert one.contents == two.contents
    assert repr(everything(one.path)) == repr(everything(two.path))


def test_a_reader_keeps_the_former_file_while_it_is_replaced(lake, tmp_path):
    lake.write(tmp_path / "lake", "deid.studies")
    out = tmp_path / "warehouse.duckdb"
    build_warehouse(tmp_path / "lake", out)
    with duckdb.connect(out, read_only=True) as reader:
        before = reader.execute("SELECT COUNT(*) FROM deid.studies").fetchone()
        lake.drop("deid.studies")
        lake.write(tmp_path / "lake", "deid.studies")
        # The writer is another process, as it is when the orchestrator rebuilds.
        code = "import sys, pathlib, sql.warehouse; sql.warehouse.build_warehouse(*map(pathlib.Path, sys.argv[1:]))"
        subprocess.run([sys.executable, "-c", code, tmp_path / "lake", out], check=True, cwd=FOLDER.parent)
        assert reader.execute("SELECT COUNT(*) FROM deid.studies").fetchone() == before == (5,)
    with duckdb.connect(out, read_only=True) as reader:
        assert reader.execute("SELECT COUNT(*) FROM deid.studies").fetchone() == (4,)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "warehouse"))] == [
        out.name
    ]


def test_any_client_opens_it_from_any_folder(lake, tmp_path):
    """A plain client in another process and folder, a lake whose path has quotes, blanks and wildcards."""
    odd = tmp_path / "Anna's lake [old] *"
    build_warehouse(lake.write(odd), tmp_path / "w.duckdb")
    code = textwrap.dedent(f"""
        import duckdb
        connection = duckdb.connect({str(tmp_path / "w.duckdb")!r}, read_only=True)
        print(connection.execute("SELECT COUNT(*) FROM embeddings.slices").fetchone()[0])
        print(connection.execute("FROM queries.file_ledger").fetchone())
    """)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=elsewhere, capture_output=True, text=True, check=True
    )
    assert done.stdout == "20\n('released', None, 30)\n"


def test_the_warehouse_documents_itself(valid, tmp_path):
    build_warehouse(valid, tmp_path / "w.duckdb")
    with duckdb.connect(tmp_path / "w.duckdb", read_only=True) as connection:
        views = dict(
            connection.execute(
                "SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'deid'"
            ).fetchall()
        )
        columns = dict(
            connection.execute(
                "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'verdicts'"
            ).fetchall()
        )
    assert views["instances"].startswith("One row per released MR instance")
    assert columns["label"].startswith("1, 0, -1")


def test_an_opened_lake_reads_nothing_else(valid, tmp_path):
    (tmp_path / "secret.csv").write_text("name\nx\n")
    with open_lake(valid) as connection:
        assert connection.execute("SELECT COUNT(*) FROM deid.instances").fetchone() == (25,)
        with pytest.raises(duckdb.PermissionException):
            connection.execute(f"FROM read_csv('{tmp_path / 'secret.csv'}')")
        with pytest.raises(duckdb.Error):
            connection.execute("SET enable_external_access = true")


def test_derived_views(valid):
    with open_lake(valid) as connection:
        ann = connection.execute(
            "SELECT n_studies, first_study_date, n_instances FROM deid.patients WHERE n_studies > 1"
        ).fetchall()
        assert ann == [(2, "2024-03-01", 10)]
        assert connection.execute(
            "SELECT DISTINCT region, n_t1_series, n_slices FROM sequences.studies"
        ).fetchall() == [("lumbar", 1, 5)]
        assert connection.execute(
            "SELECT SUM(canal), SUM(fracture), SUM(pars) FROM labels.studies"
        ).fetchone() == (5, 0, 0)
        assert (
            connection.execute("SELECT step, loss, effective_rank FROM backbone.latest").fetchall()
            == [(3, 1.0, 5.0)] * 4
        )
        assert connection.execute(
            "SELECT COUNT(*) FROM shards.training WHERE slice_split = 'test'"
        ).fetchone() == (0,)
        mean = connection.execute(
            "SELECT n_studies, vector FROM embeddings.patients WHERE n_studies > 1 ORDER BY route"
        ).fetchall()
    assert mean == [(2, [1.5, 1.0, -1.0]), (2, [0.0, 1.5, 2.0])]
