"""Where the members of a shard lie: by its sidecar, or by walking the tar.

``shard-000000.tar`` is plain WebDataset; ``shard-000000.members.json`` beside it names for every slice its study
and the byte range of its pixels, so that opening a shard reads one small file instead of every tar header and
every slice's JSON. A tar without a sidecar, as older versions wrote them, is walked.

JSON and not Parquet: shards are opened in forked data workers, where a table library's threads no longer run.

Belongs here: making, reading and proving that table. Does not belong here: pixels, order, epochs (``reader``).
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from spine_models.corpus.shards.codec import SUFFIXES

SIDECAR: Final = ".members.json"


class ShardError(ValueError):
    """A tar that is not one of ours or has changed; names the tar and the remedy."""


class Member(NamedTuple):
    """One slice of a shard: its study (None where nobody asked), its format, its pixels' bytes in the tar."""

    slice_key: str
    study_key: str | None
    suffix: str
    offset: int
    size: int


def shard_name(tar: Path) -> str:
    """How messages and cards name a shard: from its batch on where it lies in the lake, else its last four parts."""
    parts = Path(tar).parts
    if "tars" in parts:
        return "/".join(parts[len(parts) - parts[::-1].index("tars") :])
    return "/".join(part for part in parts[-4:] if part != tar.anchor)


def write_sidecar(tar: Path, members: Sequence[Member]) -> None:
    """Write the member table of a closed tar, in tar order."""
    columns = {
        name: list(column) for name, column in zip(Member._fields, zip(*members, strict=True), strict=True)
    }
    content = {"tar_bytes": tar.stat().st_size, **columns}
    tar.with_suffix(SIDECAR).write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


def members_of(tar: Path, *, studies: bool = True) -> list[Member]:
    """The slices of one tar in its stored order.

    Args:
        tar: the shard.
        studies: whether ``study_key`` is needed; without a sidecar it costs a read for every slice.

    Raises:
        ShardError: not a whole shard of a format that this version reads.
    """
    sidecar = tar.with_suffix(SIDECAR)
    if not (sidecar.is_file() and tar.is_file()):
        return list(_walk(tar, studies))
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
        tar_bytes = content["tar_bytes"]
        members = [Member(*row) for row in zip(*(content[name] for name in Member._fields), strict=True)]
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(
            f"the member table of shard {tar.name} cannot be read: write the shards of its batch again"
        ) from error
    if tar_bytes != tar.stat().st_size:
        raise ShardError(f"shard {tar.name} has changed since it was written: write the shards again")
    return members


def _walk(tar: Path, studies: bool) -> Iterator[Member]:
    found: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(tar, "r:") as archive:
            for entry in archive:
                key, _, suffix = entry.name.partition(".")
                parts = found.setdefault(key, {})
                if suffix in parts:
                    raise ShardError(
                        f"shard {tar.name} holds {key} twice: write the shards of its batch again"
                    )
                parts[suffix] = (entry.offset_data, entry.size)
    except (tarfile.TarError, OSError) as error:
        raise ShardError(
            f"shard {tar.name} cannot be read as a tar: write the shards of its batch again"
        ) from error
    size = tar.stat().st_size
    last = max((sum(part) for parts in found.values() for part in parts.values()), default=0)
    with tar.open("rb") as stream:
        # The library takes a header that is not one for the end of the tar; only two blocks of zeros are.
        stream.seek(-(-last // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)
        if any(stream.read(2 * tarfile.BLOCKSIZE)):
            raise ShardError(
                f"shard {tar.name} holds bytes that are no tar: write the shards of its batch again"
            )
        for key, parts in found.items():
            pixels = [suffix for suffix in parts if suffix != "json"]
            if "json" not in parts or len(pixels) != 1:
                raise ShardError(
                    f"shard {tar.name} holds {key} incomplete: write the shards of its batch again"
                )
            if pixels[0] not in SUFFIXES:
                raise ShardError(
                    f"shard {tar.name} holds slices of format {pixels[0]!r}, this version reads "
                    f"{' and '.join(SUFFIXES)}: write the shards of its batch again"
                )
            end = max(offset + length for offset, length in parts.values())
            if end + 2 * tarfile.BLOCKSIZE > size:  # a whole tar ends with two blocks of zeros
                raise ShardError(f"shard {tar.name} is cut short: write the shards of its batch again")
            study = _study(stream, tar, *parts["json"]) if studies else None
            yield Member(key, study, pixels[0], *parts[pixels[0]])


def _study(stream: io.BufferedReader, tar: Path, offset: int, size: int) -> str:
    stream.seek(offset, os.SEEK_SET)
    try:
        return json.loads(stream.read(size))["study_key"]
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(
            f"shard {tar.name} holds a slice without its study: write the shards of its batch again"
        ) from error
