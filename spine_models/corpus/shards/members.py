"""Where the members of a shard lie: by its sidecar, or by walking the tar.

``shard-000000.tar`` is plain WebDataset; ``shard-000000.members.parquet`` beside it names for every slice its study
and the byte ranges of its two members, so that opening a shard reads one small file instead of every tar header and
every slice's JSON. A tar without a sidecar, as older versions wrote them, is walked.

Belongs here: making, reading and proving that table. Does not belong here: pixels, order, epochs (``reader``).
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from spine_models.corpus.shards.codec import SUFFIXES

MEMBERS: Final = pl.Schema(
    {
        "slice_key": pl.String,
        "study_key": pl.String,
        "suffix": pl.String,  # names the format
        "offset": pl.Int64,  # of the pixels' first byte
        "size": pl.Int32,
        "tar_bytes": pl.Int64,  # of the whole shard, the same in every row
    }
)

SIDECAR: Final = ".members.parquet"


class ShardError(ValueError):
    """A tar that is not one of ours or has changed; names the tar and the remedy."""


def write_sidecar(tar: Path, rows: list[tuple[str, str, str, int, int]]) -> None:
    """Write the member table of a closed tar: (slice_key, study_key, suffix, offset, size) in tar order."""
    size = tar.stat().st_size
    frame = pl.DataFrame([(*row, size) for row in rows], schema=MEMBERS, orient="row")
    frame.write_parquet(tar.with_suffix(SIDECAR), compression="zstd", statistics=False)


def members_of(tar: Path, *, studies: bool = True) -> pl.DataFrame:
    """``MEMBERS`` of one tar in its stored order.

    Args:
        tar: the shard.
        studies: whether ``study_key`` is needed; without a sidecar it costs a read for every slice, and is else null.

    Raises:
        ShardError: not a whole shard of a format that this version reads.
    """
    sidecar = tar.with_suffix(SIDECAR)
    if sidecar.is_file() and tar.is_file():
        frame = pl.read_parquet(sidecar, schema=MEMBERS)
        if frame.height and frame["tar_bytes"][0] != tar.stat().st_size:
            raise ShardError(f"shard {tar.name} has changed since it was written: write the shards again")
        return frame
    return pl.DataFrame(list(_walk(tar, studies)), schema=MEMBERS, orient="row")


def _walk(tar: Path, studies: bool) -> Iterator[tuple[str, str | None, str, int, int, int]]:
    found: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(tar, "r:") as archive:
            for entry in archive:
                key, _, suffix = entry.name.partition(".")
                parts = found.setdefault(key, {})
                if suffix in parts:
                    raise ShardError(
                        f"shard {tar.name} holds {key} incomplete or twice: write the shards again"
                    )
                parts[suffix] = (entry.offset_data, entry.size)
    except (tarfile.TarError, OSError) as error:
        raise ShardError(
            f"shard {tar.name} cannot be read as a tar: write the shards of its batch again"
        ) from error
    size = tar.stat().st_size
    with tar.open("rb") as stream:
        for key, parts in found.items():
            pixels = [suffix for suffix in parts if suffix != "json"]
            if "json" not in parts or len(pixels) != 1:
                raise ShardError(f"shard {tar.name} holds {key} incomplete or twice: write the shards again")
            if pixels[0] not in SUFFIXES:
                raise ShardError(
                    f"shard {tar.name} holds slices of format {pixels[0]!r}, this version reads "
                    f"{' and '.join(SUFFIXES)}: write the shards of its batch again"
                )
            end = max(offset + length for offset, length in parts.values())
            if end + 2 * tarfile.BLOCKSIZE > size:  # a whole tar ends with two blocks of zeros
                raise ShardError(f"shard {tar.name} is cut short: write the shards of its batch again")
            study = _study(stream, *parts["json"]) if studies else None
            yield key, study, pixels[0], *parts[pixels[0]], size


def _study(stream: io.BufferedReader, offset: int, size: int) -> str:
    stream.seek(offset, os.SEEK_SET)
    return json.loads(stream.read(size))["study_key"]
