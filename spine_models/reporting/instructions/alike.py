"""Texts that are the same, or nearly so: by a normalised form and by the words that they share.

Belongs here: the normal form, runs of words, pairs above a threshold. Does not belong here: which texts may not be
alike (``build``, ``contamination``).

Two texts are alike where the Jaccard index of their runs of words reaches a threshold. Candidates come from MinHash
bands (Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, ch. 3), and each is then measured
exactly, so a pair that is told is one; at a true index of 0.8 a pair is missed with a probability below 1e-6.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import numpy as np

_BANDS: Final = 32
_ROWS: Final = 4


def normal(text: str) -> str:
    """Lower case, letters and digits alone, single blanks."""
    return " ".join(re.findall(r"[a-z0-9]+", text.casefold()))


def runs(text: str, size: int) -> frozenset[int]:
    """Hashes of all runs of ``size`` words of the normal form; of a shorter text its one run."""
    words = normal(text).split()
    found = {" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))} if words else set()
    return frozenset(int.from_bytes(hashlib.blake2b(run.encode(), digest_size=7).digest()) for run in found)


def alike(
    first: Mapping[str, str], second: Mapping[str, str], *, threshold: float, size: int
) -> list[tuple[str, str, float]]:
    """Pairs of a text of ``first`` and one of ``second`` that are alike; empty texts are like nothing.

    Args:
        first: key to text.
        second: key to text.
        threshold: least Jaccard index, in (0, 1].
        size: words in a run.

    Returns:
        (key of first, key of second, index), sorted.
    """
    ours = {key: own for key, text in first.items() if (own := runs(text, size))}
    theirs = {key: own for key, text in second.items() if (own := runs(text, size))}
    buckets: dict[tuple[int, bytes], list[str]] = defaultdict(list)
    for key, own in theirs.items():
        for band in _bands(own):
            buckets[band].append(key)
    found: dict[tuple[str, str], float] = {}
    for key, own in ours.items():
        for other in {o for band in _bands(own) for o in buckets.get(band, ())}:
            index = len(own & theirs[other]) / len(own | theirs[other])
            if index >= threshold:
                found[key, other] = index
    return sorted((a, b, index) for (a, b), index in found.items())


def _bands(hashes: frozenset[int]) -> list[tuple[int, bytes]]:
    """The least value under each of many hash functions, in bands; equal bands make a candidate."""
    mixed = np.fromiter(hashes, dtype=np.uint64)[None, :] ^ _seeds()
    # The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a plain linear map would keep the order of small values.
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    least = mixed.min(axis=1).reshape(_BANDS, _ROWS)
    return [(number, band.tobytes()) for number, band in enumerate(least)]


@lru_cache(maxsize=1)
def _seeds() -> np.ndarray:
    """One number for each hash function, the same in every run: they decide nothing but what is compared."""
    return np.random.default_rng(0).integers(0, 1 << 63, size=(_BANDS * _ROWS, 1), dtype=np.uint64)
