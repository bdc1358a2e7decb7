"""Asking the warehouse: a named query, a check, or one reading statement.

Belongs here: which questions are allowed and against which database they run. Does not belong here: how an
answer is printed (``render``).
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa

from sql.catalogue import checks, queries
from sql.warehouse import WarehouseError, confine, open_lake

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class QuestionError(ValueError):
    """A question that cannot be asked; the message says why, and what can be."""


def ask(warehouse: Path, question: str) -> pa.Table:
    """Answer ``question`` from the file ``warehouse``, reading only.

    Args:
        warehouse: file written by ``build_warehouse``. If it was moved together with its lake, views are laid
            over the lake where it is now.
        question: the name of a query or of a check, or one SELECT, WITH, DESCRIBE or SHOW statement. It
            reads the warehouse and files of the lake, nothing else on the machine.

    Returns:
        The whole answer, its column names made distinct.

    Raises:
        QuestionError: an unknown name (lists the known ones), a statement that is not one reading statement,
            or one that DuckDB refuses.
        WarehouseError: no such file, or not a warehouse.
    """
    statement = _statement(question)
    with _open(warehouse.absolute()) as connection:
        try:
            answer = connection.sql(statement).to_arrow_table()
        except duckdb.IOException as error:
            raise WarehouseError(
                f"the lake of {warehouse} has changed or is gone: build the warehouse again ({_first(error)})"
            ) from error
        except duckdb.Error as error:
            raise QuestionError(str(error)) from error
    return answer.rename_columns(_distinct(answer.column_names))


def _statement(question: str) -> str:
    question = question.strip()
    if _NAME.fullmatch(question):
        if question in queries():
            return queries()[question].statement
        if question in checks():
            return checks()[question].statement
        known = "\n  ".join([*queries(), *checks()])
        raise QuestionError(f"no question named {question}; these have a name, or write a SELECT:\n  {known}")
    try:
        statements = duckdb.extract_statements(question)
    except duckdb.Error as error:
        raise QuestionError(str(error)) from error
    # DESCRIBE, SHOW, VALUES and WITH ... SELECT are SELECT statements to the parser; WITH ... INSERT is not.
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise QuestionError("the warehouse is only read: ask with one SELECT, WITH, DESCRIBE or SHOW")
    return statements[0].query


def _open(warehouse: Path) -> duckdb.DuckDBPyConnection:
    if not warehouse.is_file():
        raise WarehouseError(f"no warehouse at {warehouse}: materialise the asset warehouse first")
    try:
        connection = duckdb.connect(warehouse, read_only=True)
    except duckdb.Error as error:
        raise WarehouseError(f"{warehouse} is not a warehouse: {_first(error)}") from error
    try:
        origin = connection.execute("SELECT lake, lake_from_here FROM main.origin").fetchone()
        if origin is None:
            raise WarehouseError(f"{warehouse} does not say which lake it is of: build it again")
        recorded, beside = Path(origin[0]), Path(origin[1])
        lake = (warehouse.parent / beside).resolve()
        if lake.is_dir() and lake != recorded.resolve():
            connection.close()
            return open_lake(lake)
        confine(connection, recorded)
    except duckdb.Error as error:
        connection.close()
        raise WarehouseError(f"{warehouse} is not a warehouse: {_first(error)}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _first(error: Exception) -> str:
    return str(error).splitlines()[0]


def _distinct(names: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    taken = set(names)
    distinct: list[str] = []
    for name in names:
        seen[name] += 1
        new = name
        while seen[name] > 1 and new in taken:
            new = f"{name}_{seen[name]}"
            seen[name] += new in taken
        taken.add(new)
        distinct.append(new)
    return distinct
