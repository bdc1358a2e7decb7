"""Slices of the slice table read back from their shards, each proved to be the one that the table names.

Belongs here: opening only the tars and members that are asked for, and the proof. Does not belong here: the
tar format (``corpus.shards``), encoders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from spine_models.corpus.shards import read_slices


class EmbeddingError(ValueError):
    """Vectors that cannot be computed or trusted; the message names the place and the remedy."""


def stored_images(rows: pl.DataFrame, shard_root: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Slice key and image uint16 [S, S] of every row, shard by shard in name order, tar order within.

    Args:
        rows: slice_key, shard, pixel_hash (columns of shards.SLICES of one batch).
        shard_root: folder that ``shard`` is relative to.

    Raises:
        EmbeddingError: a listed slice is not in its shard, or its pixels are not those of its ``pixel_hash``.
    """
    for (shard,), members in rows.sort("shard", "slice_key").group_by("shard", maintain_order=True):
        hashes = dict(zip(members["slice_key"], members["pixel_hash"], strict=True))
        for key, image in read_slices([shard_root / str(shard)], frozenset(hashes)):
            if hashlib.sha256(image.astype("<u2").tobytes()).hexdigest() != hashes.pop(key):
                raise EmbeddingError(
                    f"slice {key} in shard {shard} is not the one in the slice table: "
                    "materialise shards of this batch again"
                )
            yield key, image
        if hashes:
            raise EmbeddingError(
                f"{len(hashes)} slices of the slice table are not in shard {shard}: "
                "materialise shards of this batch again"
            )
