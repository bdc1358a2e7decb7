"""Whether written tars hold what their index says, by reading every member back.

Belongs here: the comparison of index and tars. Does not belong here: writing, or mending.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from spine_models.corpus.shards.reader import read_stored


@dataclass(frozen=True)
class Verified:
    """Members that are missing, extra or of another content, and some slices to look at (uint16 [S, S])."""

    wrong: int
    sample: list[np.ndarray]


def verify_tars(slices: pl.DataFrame, folder: Path, *, sample: int = 0) -> Verified:
    """Read all tars below ``folder`` and compare them with their index.

    Args:
        slices: SLICES rows of one batch.
        folder: the batch's shard folder.
        sample: about how many slices to return, evenly over the index.
    """
    expected = {
        key: hashes for key, *hashes in slices.select("slice_key", "pixel_hash", "stored_hash").rows()
    }
    step = max(1, len(expected) // sample) if sample else 0
    wanted = set(sorted(expected)[::step][:sample]) if step else set()
    wrong, seen, shown = 0, set(), []
    for key, held in read_stored(sorted(folder.rglob("*.tar"))):
        array = held.windowed()
        wrong += expected.get(key) != [_hash(array), _hash(held.stored)]
        seen.add(key)
        if key in wanted:
            shown.append(array)
    return Verified(wrong + len(expected.keys() - seen), shown)


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(array.astype("<u2").tobytes()).hexdigest()
