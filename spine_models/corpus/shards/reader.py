"""Reading tars back: whole, by key, or as exact, shuffled, resumable epochs.

Belongs here: the index of a tar's members, random access by offset, the order of an epoch, its division over
ranks. Does not belong here: augmentation, batches, tensors. The tars are plain WebDataset and open with that
library too; its shuffle buffers and shard-wise division cannot promise an exact epoch, hence this reader.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

Balance = Literal["slice", "study"]


class ShardError(ValueError):
    """A tar that is not one of ours or has changed; names the tar and the remedy."""


@dataclass(frozen=True)
class _Member:
    tar: int
    image: tuple[int, int]
    about: tuple[int, int]


def _index(tars: Sequence[Path]) -> dict[str, _Member]:
    """Slice key to the byte ranges of its two members, in tar order; only tar headers are read."""
    members: dict[str, _Member] = {}
    for number, path in enumerate(tars):
        parts: dict[str, dict[str, tuple[int, int]]] = {}
        try:
            with tarfile.open(path, "r:") as tar:
                for entry in tar:
                    key, _, suffix = entry.name.partition(".")
                    parts.setdefault(key, {})[suffix] = (entry.offset_data, entry.size)
        except (tarfile.TarError, OSError) as error:
            raise ShardError(
                f"shard {path.name} cannot be read as a tar: write the shards of its batch again"
            ) from error
        for key, found in parts.items():
            if set(found) != {"png", "json"} or key in members:
                raise ShardError(f"shard {path.name} holds {key} incomplete or twice: write the shards again")
            members[key] = _Member(number, found["png"], found["json"])
    return members


def _decode(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image).astype(np.uint16, copy=False)


def read_slices(
    tars: Sequence[Path], slice_keys: Container[str] | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """All slices of the tars in their stored order, or those of ``slice_keys``, without reading the others.

    Yields:
        (slice_key, uint16 [S, S]).

    Raises:
        ShardError: a file that is not a whole shard.
    """
    for path in tars:
        members = _index([path])
        with Path(path).open("rb") as stream:
            for key, member in members.items():
                if slice_keys is None or key in slice_keys:
                    stream.seek(member.image[0])
                    yield key, _decode(stream.read(member.image[1]))


class EpochReader:
    """Exact epochs over tars: deterministic, disjoint over ranks, resumable at any sample.

    ``balance="slice"``: an epoch is every slice exactly once, over all ranks together, in an order that
    depends on (seed, epoch) alone.

    ``balance="study"``: an epoch has the same number of draws for every study, ceil(slices / studies), so
    that long studies do not dominate. A study's draws run through a shuffled pass over its own slices, and
    through the next pass where that one ends; they go on from one epoch to the next. A slice is therefore
    never drawn twice before all slices of its study were drawn once, and a study of m slices is covered in
    ceil(m / draws) epochs.

    Ranks take every ``world``-th sample; their counts differ by one at most. Index and order live in memory
    (some hundred bytes a slice); pixels are read by offset when they are asked for. Reads carry their own
    position, so a reader may be shared by threads and copied to worker processes.

    Args:
        tars: shard files, in any order (they are sorted).
        seed: of the shuffle.
        rank: this process, 0-based.
        world: number of processes.
        balance: see above.

    Raises:
        ShardError: a file that is not a whole shard.
        ValueError: rank outside world, or no slices.
    """

    def __init__(
        self, tars: Sequence[Path], *, seed: int, rank: int = 0, world: int = 1, balance: Balance = "slice"
    ):
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not one of {world} processes")
        if balance not in ("slice", "study"):
            raise ValueError(f"balance is 'slice' or 'study', not {balance!r}")
        self._tars = [Path(path) for path in sorted(str(tar) for tar in tars)]
        self._seed, self._rank, self._world, self._balance = seed, rank, world, balance
        index = _index(self._tars)
        if not index:
            raise ValueError("no slices to read: the list of shards is empty, or the shards are")
        # The order of an epoch must not depend on how the slices were cut into tars.
        self.keys: tuple[str, ...] = tuple(sorted(index))
        self._members = [index[key] for key in self.keys]
        self._streams: dict[int, int] = {}
        self._studies = self._group() if balance == "study" else []

    def __len__(self) -> int:
        """Samples of this rank in one epoch."""
        total = len(self.keys) if self._balance == "slice" else self._draws() * len(self._studies)
        return len(range(self._rank, total, self._world))

    def epoch(self, n: int, start: int = 0) -> Iterator[tuple[str, np.ndarray]]:
        """Samples of this rank in epoch ``n``, from its ``start``-th on: (slice_key, uint16 [S, S]).

        Skipping is free: nothing before ``start`` is read, and what follows is what an unbroken epoch gives.
        """
        for position in self.order(n)[start:]:
            yield self.keys[position], self._read(self._members[position].tar, self._members[position].image)

    def order(self, n: int) -> np.ndarray:
        """Positions in ``keys`` of this rank's samples in epoch ``n``, int64."""
        shuffle = np.random.default_rng([self._seed, n, 0])
        if self._balance == "slice":
            drawn = np.arange(len(self.keys))
        else:
            drawn = np.concatenate([self._draw(study, n) for study in range(len(self._studies))])
        return shuffle.permutation(drawn)[self._rank :: self._world]

    def close(self) -> None:
        """Close the tars; the next read opens them again."""
        while self._streams:
            os.close(self._streams.popitem()[1])

    def __del__(self) -> None:
        if hasattr(self, "_streams"):
            self.close()

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_streams": {}}

    def _draws(self) -> int:
        return -(-len(self.keys) // len(self._studies))

    def _draw(self, study: int, n: int) -> np.ndarray:
        """The epoch's share of the study's endless sequence of shuffled passes."""
        members, quota = self._studies[study], self._draws()
        first, last = n * quota, (n + 1) * quota
        passes = range(first // len(members), -(-last // len(members)))
        drawn = np.concatenate(
            [np.random.default_rng([self._seed, k, 1, study]).permutation(members) for k in passes]
        )
        skipped = first - passes.start * len(members)
        return drawn[skipped : skipped + quota]

    def _group(self) -> list[np.ndarray]:
        studies: dict[str, list[int]] = {}
        for position, member in enumerate(self._members):
            about = json.loads(self._bytes(member.tar, member.about))
            studies.setdefault(about["study_key"], []).append(position)
        return [np.asarray(studies[key]) for key in sorted(studies)]

    def _bytes(self, tar: int, span: tuple[int, int]) -> bytes:
        if tar not in self._streams:
            self._streams[tar] = os.open(self._tars[tar], os.O_RDONLY)
        content = os.pread(self._streams[tar], span[1], span[0])
        if len(content) != span[1]:
            raise ShardError(
                f"shard {self._tars[tar].name} is shorter than when it was opened: write it again"
            )
        return content

    def _read(self, tar: int, span: tuple[int, int]) -> np.ndarray:
        return _decode(self._bytes(tar, span))
