"""A lake as a DuckDB database: declared tables over its Parquet files, derived views, named queries.

Two forms: ``open_lake`` lays views over the files as they are now, in memory, for checks; ``build_warehouse``
writes the same into a file that any DuckDB client opens read-only, with the small tables copied into it.

Belongs here: which files make a table, and whether they are what was declared. Does not belong here: what a
table means (``schema/``), or how questions are asked (``ask``).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import duckdb

from sql.catalogue import STAGES, Check, queries
from sql.declarations import Table, declarations
from sql.generations import served, stage_root

BROKEN_ROWS_SHOWN: Final[int] = 20


class WarehouseError(RuntimeError):
    """A lake or a warehouse is not as declared; the message names table, column and remedy."""


@dataclass(frozen=True)
class Content:
    """One table of the lake: a ``copy`` in the warehouse or a ``view`` of ``files`` Parquet files."""

    name: str
    kind: Literal["copy", "view"]
    files: int
    rows: int


@dataclass(frozen=True)
class WarehouseReport:
    """What was built where. ``contents`` has one entry for each declared table, also for empty ones."""

    path: Path
    lake: Path
    contents: tuple[Content, ...]
    size_bytes: int

    @property
    def rows(self) -> int:
        """Rows of all tables, copied or not."""
        return sum(content.rows for content in self.contents)


def build_warehouse(lake: Path, out: Path) -> WarehouseReport:
    """Write the warehouse of ``lake`` to the file ``out``, replacing it in one step.

    Readers that have the former file open keep it. Same lake, same rows in the same order. The views hold the
    absolute paths of the Parquet files that exist now, so that copied tables and views are of one moment.

    Raises:
        WarehouseError: no such lake, or a Parquet file that does not agree with its declaration.
    """
    lake = _existing(lake)
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    # The folder goes, whatever happens in it, and with it a write-ahead log.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
        building = Path(folder) / out.name
        with duckdb.connect(building) as connection:
            contents = _define(connection, lake, copies=True)
            _describe(connection, lake, out, contents)
        os.replace(building, out)
    return WarehouseReport(path=out, lake=lake, contents=contents, size_bytes=out.stat().st_size)


def open_lake(lake: Path) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database of views over the files of ``lake`` as they are now.

    The connection reads files of the lake only, and its configuration is locked.

    Raises:
        WarehouseError: as ``build_warehouse``.
    """
    lake = _existing(lake)
    connection = duckdb.connect()
    try:
        contents = _define(connection, lake, copies=False)
        _describe(connection, lake, lake, contents)
    except BaseException:
        connection.close()
        raise
    confine(connection, lake)
    return connection


def confine(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    """Let a connection read no file outside ``lake``, and no variable of the calling program, from now on."""
    folders = ", ".join(_literal(folder) for folder in sorted({str(lake), _without_wildcards(lake)}))
    connection.execute(f"SET allowed_directories = [{folders}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET lock_configuration = true")


def broken_rows(
    connection: duckdb.DuckDBPyConnection, check: Check, *, limit: int = BROKEN_ROWS_SHOWN
) -> tuple[int, list[dict[str, object]]]:
    """How many rows break the rule of ``check``, and the first ``limit`` of them as dictionaries."""
    relation = connection.sql(check.statement)
    rows = relation.fetchall()
    return len(rows), [dict(zip(relation.columns, row, strict=True)) for row in rows[:limit]]


def parquet_files(lake: Path, table: Table, generation: str | None = None) -> list[Path]:
    """The Parquet files of a table, sorted by name; hidden ones are still being written and do not count.

    Findings are those of ``generation``, by default of the one that is served.
    """
    folder = stage_root(lake, generation or served(lake), table.stage) / table.stage / table.thing
    return sorted(
        path for path in folder.glob("*.parquet") if path.is_file() and not path.name.startswith(".")
    )


def _existing(lake: Path) -> Path:
    lake = lake.absolute()
    if not lake.is_dir():
        raise WarehouseError(f"no lake at {lake}: materialise some assets first, or give another folder")
    return lake


def _define(connection: duckdb.DuckDBPyConnection, lake: Path, *, copies: bool) -> tuple[Content, ...]:
    tables, views = declarations()
    contents: list[Content] = []
    generation = served(lake)  # once: tables of two generations never meet in one database
    for stage in STAGES:
        connection.execute(f"CREATE SCHEMA {stage}")
    for table in tables:
        files = parquet_files(lake, table, generation)
        _verify(connection, table, files)
        kind: Literal["copy", "view"] = "copy" if copies and table.stored == "copy" else "view"
        keyword = "TABLE" if kind == "copy" else "VIEW"
        connection.execute(f"CREATE {keyword} {table.name} AS {_source(table, files)}")
        _comment(connection, keyword, table)
        contents.append(Content(table.name, kind, len(files), _rows(connection, files)))
    for view in views:
        connection.execute(view.statement)
        connection.execute(f"COMMENT ON VIEW {view.name} IS {_literal(view.description)}")
    connection.execute("CREATE SCHEMA queries")
    for query in queries().values():
        connection.execute(f"CREATE VIEW queries.{query.name} AS {query.statement}")
        connection.execute(f"COMMENT ON VIEW queries.{query.name} IS {_literal(query.description)}")
    return tuple(contents)


def _source(table: Table, files: list[Path]) -> str:
    if not files:
        # There is nothing to read the types from; the declaration has them.
        columns = ", ".join(f'NULL::{column.type} AS "{column.name}"' for column in table.columns)
        return f"SELECT {columns} WHERE FALSE"
    columns = ", ".join(f'"{column.name}"' for column in table.columns)
    return f"SELECT {columns} FROM {_reader(files)}"


def _reader(files: Iterable[Path]) -> str:
    paths = ", ".join(_literal(_without_wildcards(path)) for path in files)
    return f"read_parquet([{paths}], union_by_name = true)"


def _verify(connection: duckdb.DuckDBPyConnection, table: Table, files: list[Path]) -> None:
    declared = {column.name: column.type for column in table.columns}
    for path in files:
        place = f"{table.name}, {path.name}"
        remedy = "materialise that partition again with the present code"
        try:
            rows = connection.execute(f"DESCRIBE SELECT * FROM {_reader([path])}").fetchall()
        except duckdb.Error as error:
            raise WarehouseError(f"{place}: not a readable Parquet file; {remedy}") from error
        found = {row[0]: row[1] for row in rows}
        for name in [*declared, *(name for name in found if name not in declared)]:
            if name not in found:
                raise WarehouseError(f"{place}: column {name} is missing; {remedy}")
            if name not in declared:
                raise WarehouseError(
                    f"{place}: column {name} is not in sql/schema/{table.stage}.sql; {remedy}"
                )
            if found[name] != declared[name]:
                raise WarehouseError(
                    f"{place}: column {name} is {found[name]}, declared as {declared[name]}; {remedy}"
                )


def _rows(connection: duckdb.DuckDBPyConnection, files: list[Path]) -> int:
    if not files:
        return 0
    row = connection.execute(f"SELECT COUNT(*) FROM {_reader(files)}").fetchone()
    return int(row[0]) if row else 0


def _comment(connection: duckdb.DuckDBPyConnection, keyword: str, table: Table) -> None:
    connection.execute(f"COMMENT ON {keyword} {table.name} IS {_literal(table.description)}")
    for column in table.columns:
        if column.comment:
            connection.execute(
                f'COMMENT ON COLUMN {table.name}."{column.name}" IS {_literal(column.comment)}'
            )


def _describe(
    connection: duckdb.DuckDBPyConnection, lake: Path, out: Path, contents: tuple[Content, ...]
) -> None:
    connection.execute(
        "CREATE TABLE contents ("
        "table_name VARCHAR, kind VARCHAR, files INTEGER, rows BIGINT, description VARCHAR)"
    )
    described = {table.name: table.description for table in declarations()[0]}
    connection.executemany(
        "INSERT INTO contents VALUES (?, ?, ?, ?, ?)",
        [(c.name, c.kind, c.files, c.rows, described[c.name]) for c in contents],
    )
    connection.execute(
        "COMMENT ON TABLE contents IS 'One row per table of the lake: where its rows are, how many.'"
    )
    # The way from the warehouse to its lake survives a move of both.
    connection.execute("CREATE TABLE origin (lake VARCHAR, lake_from_here VARCHAR)")
    connection.execute("INSERT INTO origin VALUES (?, ?)", [str(lake), os.path.relpath(lake, out.parent)])
    connection.execute("COMMENT ON TABLE origin IS 'The lake that the views read.'")


def _literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _without_wildcards(path: Path) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in str(path))
