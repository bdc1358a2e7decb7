"""Rows of a table that grow by one series at a time, kept on disk until the table is whole.

Belongs here: spilling rows, and sorting them without a second copy of the table. Does not belong here: what a row says
(``series``, ``write``).
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable
from typing import Any, Final

import polars as pl

_CHUNK: Final = 256
"""Rows that are held as Python dictionaries, of about 3 KB each."""


class Rows:
    """Rows of one schema. In memory a table that is built piece by piece is several times as large as the finished one.

    They wait in a file without a name, so that a process that is killed leaves nothing behind.
    """

    def __init__(self, schema: pl.Schema):
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._sizes: list[int] = []

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def extend(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows in order."""
        for row in rows:
            self._rows.append(row)
            if len(self._rows) >= _CHUNK:
                self._spill()

    def sorted(self, *keys: str) -> pl.DataFrame:
        """All rows that were added, in the order of keys that no two rows share."""
        self._spill()
        order = self._read(keys).select(pl.arg_sort_by(*keys)).to_series()
        # A column at a time: the rows and their sorted copy are never both in memory.
        return pl.DataFrame([self._read([name]).to_series().gather(order) for name in self._schema])

    def _spill(self) -> None:
        content = io.BytesIO()
        pl.DataFrame(self._rows, schema=self._schema).write_parquet(
            content, compression="lz4", statistics=False
        )
        self._rows = []
        self._sizes.append(self._file.write(content.getbuffer()))

    def _read(self, columns: Iterable[str]) -> pl.DataFrame:
        self._file.seek(0)
        parts = [
            pl.read_parquet(self._file.read(size), columns=list(columns), parallel="none")
            for size in self._sizes
        ]
        return pl.concat(parts)
