"""How much the warehouse costs and saves, against the plainest way to do the same.

Both sides of a ratio run in turns, several times, and the fastest run of each counts.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl

from sql.ask import ask
from sql.declarations import Table, declarations
from sql.warehouse import build_warehouse, open_lake, parquet_files

BATCHES = 4
ROWS = 10_000
ROUNDS = 3
LISTED = 8


def bench() -> list[tuple[str, float, str]]:
    """Name, ratio, what is divided by what."""
    with tempfile.TemporaryDirectory() as folder:
        lake, out = Path(folder) / "lake", Path(folder) / "warehouse.duckdb"
        _write_lake(lake)
        build_warehouse(lake, out)
        count = "SELECT outcome, COUNT(*) FROM deid.files GROUP BY outcome"
        files = str(lake / "deid" / "files" / "*.parquet")
        over_parquet = f"SELECT outcome, COUNT(*) FROM read_parquet('{files}') GROUP BY outcome"

        def build() -> object:
            return build_warehouse(lake, out)

        def answer() -> object:
            return _plain(out, count)

        return [
            _ratio(
                "warehouse, build", build, lambda: _read_copied(lake), "reading the copied tables with polars"
            ),
            _ratio("warehouse, ask", lambda: ask(out, count), answer, "the same SELECT by a plain client"),
            _ratio(
                "warehouse, copied table",
                answer,
                lambda: _plain(None, over_parquet),
                "the same over the Parquet",
            ),
            _ratio(
                "lake, open for a check", lambda: open_lake(lake).close(), build, "building the warehouse"
            ),
        ]


def _ratio(
    name: str, ours: Callable[[], object], plain: Callable[[], object], of: str
) -> tuple[str, float, str]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for work, taken in zip((ours, plain), times, strict=True):
            start = time.perf_counter()
            work()
            taken.append(time.perf_counter() - start)
    return name, min(times[0]) / min(times[1]), f"time of {of}; {ROWS * BATCHES:,} rows a table"


def _plain(path: Path | None, statement: str) -> list[tuple]:
    with duckdb.connect(path or ":memory:", read_only=path is not None) as connection:
        return connection.execute(statement).fetchall()


def _read_copied(lake: Path) -> int:
    copied = [table for table in declarations()[0] if table.stored == "copy"]
    return sum(len(pl.read_parquet(file)) for table in copied for file in parquet_files(lake, table))


def _write_lake(lake: Path) -> None:
    for table in declarations()[0]:
        folder = lake / table.stage / table.thing
        folder.mkdir(parents=True)
        for batch in range(BATCHES):
            _frame(table, batch).write_parquet(folder / f"internal-{batch:04d}.parquet")


def _frame(table: Table, batch: int) -> pl.DataFrame:
    number = pl.int_range(batch * ROWS, (batch + 1) * ROWS, eager=True)
    few = (number % 5).cast(pl.String)
    columns: dict[str, pl.Series] = {}
    for column in table.columns:
        if column.type == "VARCHAR":
            columns[column.name] = number.cast(pl.String) if column.name.endswith("_key") else few
        elif column.type.endswith("[]"):
            inner = {"VARCHAR": pl.String, "DOUBLE": pl.Float64, "FLOAT": pl.Float32}[column.type[:-2]]
            item = number.cast(inner)
            columns[column.name] = pl.DataFrame([item.alias(f"{i}") for i in range(LISTED)]).select(
                pl.concat_list(pl.all())
            ).to_series()  # fmt: skip
        elif column.type == "BOOLEAN":
            columns[column.name] = number % 2 == 0
        else:
            kind = {"TINYINT": pl.Int8, "INTEGER": pl.Int32, "DOUBLE": pl.Float64}[column.type]
            columns[column.name] = (number % 100).cast(kind)
    return pl.DataFrame(columns)
