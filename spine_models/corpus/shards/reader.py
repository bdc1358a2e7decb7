"""Reading shards back: whole, by key, or as exact, shuffled, resumable epochs.

Belongs here: random access by offset, the order of an epoch, its division over ranks and workers. Does not belong
here: augmentation, batches, tensors. The tars are plain WebDataset and open with that library too; its shuffle
buffers and shard-wise division cannot promise an exact epoch, hence this reader.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np

from spine_models.corpus.shards.codec import CodecError, Rooms, StoredSlice, decode
from spine_models.corpus.shards.members import ShardError, members_of, shard_name

Balance = Literal["slice", "study"]

_ROOMS: Final = Rooms()

__all__ = ["Balance", "EpochReader", "ShardError", "read_slices", "read_stored", "readable_shards"]


def readable_shards(tars: Sequence[Path]) -> tuple[list[Path], dict[Path, str]]:
    """Tars that can be opened and hold a slice, in the given order, and the others with the reason why not.

    Only member tables are read, no pixels: bytes that have changed inside a member come to light when it is decoded.
    A whole tar without a slice is in neither.
    """
    readable, broken = [], {}
    for tar in map(Path, tars):
        try:
            members = members_of(tar)
        except ShardError as error:
            broken[tar] = str(error)
        else:
            readable += [tar] if members else []
    return readable, broken


def read_stored(
    tars: Sequence[Path], slice_keys: Container[str] | None = None
) -> Iterator[tuple[str, StoredSlice]]:
    """All slices of the tars in their stored order, or those of ``slice_keys``, without reading the others.

    Yields:
        (slice_key, slice with its whole range and its window).

    Raises:
        ShardError: a file that is not a whole shard.
    """
    for path in (Path(tar) for tar in tars):
        members = members_of(path, studies=False)
        with path.open("rb") as stream:
            for member in members:
                if slice_keys is None or member.slice_key in slice_keys:
                    stream.seek(member.offset)
                    yield member.slice_key, _decode(stream.read(member.size), member.suffix, path)


def read_slices(
    tars: Sequence[Path], slice_keys: Container[str] | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """As ``read_stored``, through the window, as every encoder sees a slice.

    Yields:
        (slice_key, uint16 [S, S]).

    Raises:
        ShardError: a file that is not a whole shard.
    """
    for key, held in read_stored(tars, slice_keys):
        yield key, held.windowed()


def _decode(content: bytes | memoryview, suffix: str, path: Path, rooms: Rooms | None = None) -> StoredSlice:
    try:
        return decode(content, suffix, rooms=rooms)
    except CodecError as error:
        raise ShardError(f"shard {path.name}: {error}; write the shards of its batch again") from error


OPEN_AT_MOST = 256
"""Tars that a reader holds open; a process may hold 1,024 files by default."""


class EpochReader:
    """Exact epochs over tars: deterministic, disjoint over ranks, resumable at any sample.

    ``balance="slice"``: an epoch is every slice exactly once, over all ranks together, in an order that
    depends on (seed, epoch) alone.

    ``balance="study"``: an epoch has the same number of draws for every study, ceil(slices / studies), so
    that long studies do not dominate. A study's draws run through a shuffled pass over its own slices, and
    through the next pass where that one ends; they go on from one epoch to the next. A slice is therefore
    never drawn twice before all slices of its study were drawn once, and a study of m slices is covered in
    ceil(m / draws) epochs.

    Ranks take every ``world``-th sample; their counts differ by one at most. Worker processes are ranks too
    (world = processes x workers), or a ``DataLoader`` takes the reader as a map-style dataset with
    ``sampler=reader.order(n)``: then any number of workers gives the same samples in the same order. An epoch that
    was left in the middle goes on with any other number of ranks by ``consumed``.

    Index and order live in memory (about 150 bytes a slice); pixels are read by offset when they are asked for.
    Reads carry their own position, so a reader may be shared by threads and copied to worker processes.

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
        self._streams: dict[int, int] = {}
        self._index()

    def _index(self) -> None:
        keys: list[str] = []
        studies: list[np.ndarray] = []
        spans, suffixes = [], []
        for number, path in enumerate(self._tars):
            members = members_of(path, studies=self._balance == "study")
            keys += [member.slice_key for member in members]
            spans.append(np.array([(number, m.offset, m.size) for m in members], np.int64).reshape(-1, 3))
            suffixes += [sys.intern(member.suffix) for member in members]
            if self._balance == "study":
                studies.append(np.array([member.study_key for member in members], dtype=str))
        if not keys:
            raise ValueError("no slices to read: the list of shards is empty, or the shards are")
        # The order of an epoch must not depend on how the slices were cut into tars.
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self.keys: tuple[str, ...] = tuple(keys[i] for i in order)
        for one, other in zip(self.keys, self.keys[1:], strict=False):
            if one == other:
                raise ShardError(f"slice {one} is in two shards: write the shards of its batch again")
        self._spans = np.concatenate(spans)[order]
        self._suffixes = [suffixes[i] for i in order]
        self._studies = _groups(np.concatenate(studies)[order]) if studies else []

    def __len__(self) -> int:
        """Samples of this rank in one epoch."""
        return len(range(self._rank, self._total(), self._world))

    def __getitem__(self, position: int) -> tuple[str, np.ndarray]:
        """The slice at a position of ``keys``: (slice_key, uint16 [S, S])."""
        return self.keys[position], self._read(position).windowed(_ROOMS)

    def shard_of(self, position: int) -> str:
        """Name (``members.shard_name``) of the shard that holds the slice at a position of ``keys``."""
        return shard_name(self._tars[int(self._spans[position, 0])])

    def epoch(self, n: int, start: int = 0, *, consumed: int = 0) -> Iterator[tuple[str, np.ndarray]]:
        """Samples of this rank in epoch ``n``, from its ``start``-th on: (slice_key, uint16 [S, S]).

        Skipping is free: nothing before ``start`` is read, and what follows is what an unbroken epoch gives.
        ``consumed`` is as in ``order``.
        """
        for position in self.order(n, consumed=consumed)[start:]:
            yield self[position]

    def order(self, n: int, *, consumed: int = 0) -> np.ndarray:
        """Positions in ``keys`` of this rank's samples in epoch ``n``, int64.

        Args:
            n: epoch, 0-based.
            consumed: samples of this epoch that all ranks together have used up, each as many as the others; the
                rest is dealt anew, whatever the number of ranks was before.

        Raises:
            ValueError: more consumed than an epoch has.
        """
        if not 0 <= consumed <= self._total():
            raise ValueError(
                f"{consumed} samples consumed of an epoch of {self._total()}: resume the next epoch"
            )
        shuffle = np.random.default_rng([self._seed, n, 0])
        if self._balance == "slice":
            drawn = np.arange(len(self.keys))
        else:
            drawn = np.concatenate([self._draw(study, n) for study in range(len(self._studies))])
        return shuffle.permutation(drawn)[consumed + self._rank :: self._world]

    def close(self) -> None:
        """Close the tars; the next read opens them again."""
        while self._streams:
            os.close(self._streams.popitem()[1])

    def __del__(self) -> None:
        if hasattr(self, "_streams"):
            self.close()

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_streams": {}}

    def _total(self) -> int:
        return len(self.keys) if self._balance == "slice" else self._draws() * len(self._studies)

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

    def _read_bytes(self, tar: int, content: memoryview, offset: int) -> int:
        """Bytes read into ``content``; the first tars stay open, of a corpus of thousands the others do not."""
        stream = self._streams.get(tar)
        if stream is not None:
            return os.preadv(stream, [content], offset)
        stream = os.open(self._tars[tar], os.O_RDONLY)
        if len(self._streams) < OPEN_AT_MOST:
            self._streams[tar] = stream
            return os.preadv(stream, [content], offset)
        try:
            return os.preadv(stream, [content], offset)
        finally:
            os.close(stream)

    def _read(self, position: int) -> StoredSlice:
        """One slice in this thread's rooms: it holds until the thread reads the next."""
        tar, offset, size = self._spans[position].tolist()
        content = _ROOMS.content(size)
        try:
            read = self._read_bytes(tar, content, offset)
        except OSError as error:
            # The system's own message would name a path.
            raise ShardError(
                f"shard {shard_name(self._tars[tar])} cannot be read: {error.strerror}"
            ) from None
        if read != size:
            raise ShardError(
                f"shard {self._tars[tar].name} is shorter than when it was opened: write it again"
            )
        return _decode(content, self._suffixes[position], self._tars[tar], _ROOMS)


def _groups(studies: np.ndarray) -> list[np.ndarray]:
    """Positions of every study's slices, studies in the order of their keys."""
    order = np.argsort(studies, kind="stable")
    cuts = np.flatnonzero(studies[order][1:] != studies[order][:-1]) + 1
    return np.split(order, cuts)
