"""Slices of the slice table read back from their shards, each proved to be the one that the table names.

Belongs here: finding the members that are asked for, reading no others, and the proof. Does not belong here: the tar
format (``corpus.shards``), encoders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from spine_models.corpus.shards import ShardError
from spine_models.corpus.shards.codec import CodecError, Rooms, decode
from spine_models.corpus.shards.members import Member, members_of, shard_name

_ROOMS = Rooms()


class EmbeddingError(ValueError):
    """Vectors that cannot be computed or trusted; the message names the place and the remedy."""


class Located(NamedTuple):
    """A slice and where its bytes lie."""

    tar: Path
    shard: str
    member: Member
    pixel_hash: str


def locate(rows: pl.DataFrame, shard_root: Path) -> list[Located]:
    """Where every row lies, shard by shard in name order, tar order within; no pixels are read.

    Args:
        rows: slice_key, shard, pixel_hash (columns of shards.SLICES of one batch).
        shard_root: folder that ``shard`` is relative to.

    Raises:
        EmbeddingError: a listed slice is not in its shard.
        ShardError: a file that is not a whole shard.
    """
    found: list[Located] = []
    for (name,), members in rows.sort("shard", "slice_key").group_by("shard", maintain_order=True):
        shard, tar = str(name), shard_root / str(name)
        hashes = dict(zip(members["slice_key"], members["pixel_hash"], strict=True))
        for member in members_of(tar, studies=False):
            if (pixel_hash := hashes.pop(member.slice_key, None)) is not None:
                found.append(Located(tar, shard, member, pixel_hash))
        if hashes:
            raise EmbeddingError(
                f"{len(hashes)} slices of the slice table are not in shard {shard}: "
                "materialise shards of this batch again"
            )
    return found


def read_located(places: Sequence[Located]) -> Iterator[tuple[str, np.ndarray]]:
    """Slice key and image uint16 [S, S] of every place, in order; each image is new memory.

    Raises:
        EmbeddingError: a slice's pixels are not those of its ``pixel_hash``.
        ShardError: bytes that are no slice.
    """
    for tar, group in groupby(places, key=lambda place: place.tar):
        with tar.open("rb") as stream:
            for place in group:
                stream.seek(place.member.offset)
                content = stream.read(place.member.size)
                try:
                    image = decode(content, place.member.suffix, rooms=_ROOMS).windowed(_ROOMS)
                except CodecError as error:
                    raise ShardError(
                        f"shard {shard_name(tar)}: {error}; write the shards of its batch again"
                    ) from error
                if hashlib.sha256(np.ascontiguousarray(image, "<u2")).hexdigest() != place.pixel_hash:
                    raise EmbeddingError(
                        f"slice {place.member.slice_key} in shard {place.shard} is not the one in the slice table: "
                        "materialise shards of this batch again"
                    )
                yield place.member.slice_key, image


def stored_images(rows: pl.DataFrame, shard_root: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Slice key and image uint16 [S, S] of every row, shard by shard in name order, tar order within.

    Args:
        rows: slice_key, shard, pixel_hash (columns of shards.SLICES of one batch).
        shard_root: folder that ``shard`` is relative to.

    Raises:
        EmbeddingError: a listed slice is not in its shard, or its pixels are not those of its ``pixel_hash``.
        ShardError: a file that is not a whole shard.
    """
    return read_located(locate(rows, shard_root))
