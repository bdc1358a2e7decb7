"""What a lake may hold: the tables that ``schema/*.sql`` declares, their columns, and the views on them.

A schema file is plain SQL that any DuckDB runs: ``CREATE TABLE`` declares a table of the lake,
``CREATE VIEW`` derives something from declared tables. Its comments become the comments of the warehouse;
``-- stored: copy`` asks for the rows to be copied into the warehouse file, ``-- stored: view`` leaves them in
the Parquet. DuckDB itself reads the declarations, so no second parser can disagree with it.

Belongs here: declarations. Does not belong here: files of a lake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import duckdb

from sql.catalogue import CatalogueError, schemas

_BLOCK = re.compile(r"((?:^-- .*\n)+)CREATE (TABLE|VIEW) (\w+)\.(\w+)([\s\S]*?);$", re.MULTILINE)
_STORED = re.compile(r"^-- stored: (\w+)\n", re.MULTILINE)
_COLUMN_COMMENT = re.compile(r'^\s+"?(\w+)"? [^-\n]*-- (.+)$', re.MULTILINE)


@dataclass(frozen=True)
class Column:
    """A column with its DuckDB type (``FLOAT[]``); the comment is empty where the name says all."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Table:
    """A table of the lake: ``<lake>/<stage>/<thing>/*.parquet``."""

    stage: str
    thing: str
    columns: tuple[Column, ...]
    description: str
    stored: Literal["copy", "view"]

    @property
    def name(self) -> str:
        """``<stage>.<thing>``."""
        return f"{self.stage}.{self.thing}"


@dataclass(frozen=True)
class DerivedView:
    """A view on declared tables; ``statement`` is its CREATE VIEW."""

    stage: str
    thing: str
    description: str
    statement: str

    @property
    def name(self) -> str:
        """``<stage>.<thing>``."""
        return f"{self.stage}.{self.thing}"


@lru_cache(maxsize=1)
def declarations() -> tuple[tuple[Table, ...], tuple[DerivedView, ...]]:
    """Declared tables and derived views, in flow order of their stages and in the order of their file.

    Raises:
        CatalogueError: a schema file that DuckDB refuses, or a table or view without its comment.
    """
    tables: list[Table] = []
    views: list[DerivedView] = []
    with duckdb.connect() as scratch:
        for stage, schema in schemas().items():
            try:
                scratch.execute(schema.text)
            except duckdb.Error as error:
                raise CatalogueError(f"sql/schema/{stage}.sql: {error}") from error
            comments = {
                (match[2], match[4]): (match[1], match[5])
                for match in _BLOCK.finditer(schema.text)
                if match[3] == stage
            }
            for thing, columns in _tables_of(scratch, stage):
                head, body = _comment(comments, "TABLE", stage, thing)
                stored = _STORED.search(head)
                if stored is None or stored[1] not in ("copy", "view"):
                    raise CatalogueError(
                        f"sql/schema/{stage}.sql: {thing} must say '-- stored: copy' or '-- stored: view'"
                    )
                notes = dict(_COLUMN_COMMENT.findall(body))
                tables.append(
                    Table(
                        stage=stage,
                        thing=thing,
                        columns=tuple(Column(name, kind, notes.get(name, "")) for name, kind in columns),
                        description=_prose(_STORED.sub("", head)),
                        stored="copy" if stored[1] == "copy" else "view",
                    )
                )
            for thing, statement in _views_of(scratch, stage):
                head, _ = _comment(comments, "VIEW", stage, thing)
                views.append(DerivedView(stage, thing, _prose(head), statement))
    return tuple(tables), tuple(views)


def _tables_of(scratch: duckdb.DuckDBPyConnection, stage: str) -> list[tuple[str, list[tuple[str, str]]]]:
    rows = scratch.execute(
        """
        SELECT table_name, LIST((column_name, data_type) ORDER BY column_index)
        FROM duckdb_columns()
        SEMI JOIN duckdb_tables() USING (table_oid)
        WHERE schema_name = ?
        GROUP BY table_oid, table_name
        ORDER BY table_oid
        """,
        [stage],
    ).fetchall()
    return [(thing, [(name, kind) for name, kind in columns]) for thing, columns in rows]


def _views_of(scratch: duckdb.DuckDBPyConnection, stage: str) -> list[tuple[str, str]]:
    return scratch.execute(
        "SELECT view_name, sql FROM duckdb_views() WHERE schema_name = ? AND NOT internal ORDER BY view_oid",
        [stage],
    ).fetchall()


def _comment(
    comments: dict[tuple[str, str], tuple[str, str]], kind: str, stage: str, thing: str
) -> tuple[str, str]:
    if (kind, thing) not in comments:
        raise CatalogueError(f"sql/schema/{stage}.sql: {thing} needs a comment right above CREATE {kind}")
    return comments[kind, thing]


def _prose(comment: str) -> str:
    return " ".join(line.removeprefix("--").strip() for line in comment.splitlines())
