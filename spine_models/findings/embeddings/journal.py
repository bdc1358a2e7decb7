"""Vectors as they are computed, in a file that a killed run leaves to the next one.

A record is one encoder batch: a header (magic, lengths, checksum), the identity of its rows as JSON, and the vectors
as float32 little endian. A record is written with one call and believed only if its checksum holds, so the torn end
that a kill leaves costs the batch that was in flight and no other. The file is not a table and nobody else reads it.

Belongs here: that file. Does not belong here: which rows are wanted (``slices``), when the file goes (whoever publishes
the table).
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import numpy as np
import polars as pl

from spine_models.findings.embeddings.pooling import as_lists

_HEADER: Final = struct.Struct("<8sQQQ32s")  # magic, bytes of identity, rows, elements of a vector, checksum
_MAGIC: Final = b"SPVECTS1"


class Journal:
    """The computed rows of an unfinished embedding; a context manager.

    Attributes:
        rows: identity columns and ``vector`` (List(Float32)) of every whole record that was found, in their order.
    """

    def __init__(self, path: Path, identity: list[str]) -> None:
        """Open or begin the file; a torn or damaged end is cut off.

        Args:
            path: its folder must exist.
            identity: string columns that a row is known by.

        Raises:
            OSError: the file cannot be written.
        """
        self._identity = identity
        self._file: BinaryIO = open(path, "a+b", buffering=0)  # noqa: SIM115  closed by ``__exit__``
        self.rows = self._recover()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, rows: pl.DataFrame, vectors: np.ndarray) -> None:
        """Note computed rows for good.

        Args:
            rows: the identity columns, N rows.
            vectors: float32 [N, D].
        """
        identity = json.dumps(rows.select(self._identity).rows(), separators=(",", ":")).encode()
        body = identity + np.ascontiguousarray(vectors, "<f4").tobytes()
        record = _header(identity, *vectors.shape, body) + body
        left = memoryview(record)
        while left:
            left = left[self._file.write(left) :]

    def _recover(self) -> pl.DataFrame:
        schema = pl.Schema({**dict.fromkeys(self._identity, pl.String), "vector": pl.List(pl.Float32)})
        frames = [pl.DataFrame(schema=schema)]
        whole, size = 0, os.fstat(self._file.fileno()).st_size
        with open(self._file.fileno(), "rb", closefd=False) as stream:
            stream.seek(0)
            while (found := _read_record(stream, size - whole)) is not None:
                identity, vectors, length = found
                if any(len(row) != len(self._identity) for row in identity) or len(identity) != len(vectors):
                    break
                named = pl.DataFrame(identity, schema=dict.fromkeys(self._identity, pl.String), orient="row")
                frames.append(named.with_columns(as_lists(vectors)))
                whole += length
        if whole != size:
            os.ftruncate(self._file.fileno(), whole)
        return pl.concat(frames)


def _header(identity: bytes, rows: int, elements: int, body: bytes) -> bytes:
    return _HEADER.pack(_MAGIC, len(identity), rows, elements, hashlib.sha256(body).digest())


def _read_record(stream: BinaryIO, left: int) -> tuple[list[list[str]], np.ndarray, int] | None:
    """Identity, vectors and length in bytes of the next record; None where none is whole."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, identity_bytes, rows, elements, _ = _HEADER.unpack(header)
    length = identity_bytes + 4 * rows * elements
    if magic != _MAGIC or _HEADER.size + length > left:
        return None
    body = stream.read(length)
    if len(body) < length or _header(body[:identity_bytes], rows, elements, body) != header:
        return None
    vectors = np.frombuffer(body, "<f4", offset=identity_bytes).astype(np.float32).reshape(rows, elements)
    return json.loads(body[:identity_bytes]), vectors, _HEADER.size + length
