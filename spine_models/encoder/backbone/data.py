"""Batches of crops from shards, in an order that a resumed run continues exactly.

Belongs here: reader lanes, per-sample seeds, positions, spoilt shards, worker processes. Does not belong here: what a
crop is (augment), how a tar is read (shards), which tars there are (material).
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from spine_models.config import BackboneSettings
from spine_models.corpus.shards import ShardError
from spine_models.encoder.backbone.augment import Crops, MultiCrop


class Reader(Protocol):
    """What training needs of ``corpus.shards.EpochReader``."""

    keys: tuple[str, ...]

    def order(self, n: int) -> np.ndarray:
        """Positions in ``keys`` of the samples of epoch ``n``, int64."""

    def __getitem__(self, position: int) -> tuple[str, np.ndarray]:
        """(slice_key, uint16 [S, S])."""

    def shard_of(self, position: int) -> str:
        """Name of the shard that holds the slice."""


class OpenReader(Protocol):
    """Opens shards; ``corpus.shards.EpochReader`` itself."""

    def __call__(self, tars: Sequence[Path], *, seed: int, rank: int, world: int, balance: str) -> Reader:
        """A reader of one rank's samples."""


class Position(NamedTuple):
    """Where a lane stands: the epoch and the number of its samples that are used up."""

    epoch: int
    sample: int


Spoilt = dict[str, str]
"""Shards that are left out, each with what was wrong with it."""


class Batch(NamedTuple):
    """One step's crops, and where its lane stands after it."""

    crops: Crops
    lane: int
    position: Position
    spoilt: Spoilt  # that the lane has come upon so far


def sample_seed(seed: int, position: Position, slice_key: str) -> int:
    """Augmentation seed of one draw of a slice: the same wherever and whenever this draw is made."""
    text = f"{seed}/{position.epoch}/{position.sample}/{slice_key}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


SKIP_REMEDY = "or train without it by backbone.corrupt_shards: skip"


def sound_samples(
    reader: Reader,
    epoch: int,
    start: int = 0,
    *,
    spoilt: Spoilt,
    policy: str,
    excluded: Container[str] = frozenset(),
) -> Iterator[tuple[str, np.ndarray, Position]]:
    """Samples of an epoch that can be decoded: (slice_key, uint16 [S, S], position after it).

    Args:
        reader: of one lane.
        epoch: 0-based.
        start: samples of the epoch to pass over.
        spoilt: shards whose slices are passed over; with policy "skip", one that holds a slice that cannot be decoded
            is added, and nothing more is drawn from it.
        policy: "stop" or "skip".
        excluded: slices to pass over; they count in positions.

    Raises:
        ShardError: policy "stop", and a slice that cannot be decoded.
    """
    for number, position in enumerate(reader.order(epoch)[start:].tolist(), start + 1):
        shard = reader.shard_of(position)
        if shard in spoilt or reader.keys[position] in excluded:
            continue
        try:
            key, image = reader[position]
        except ShardError as error:
            if policy == "stop":
                raise ShardError(f"{shard}: {error}, {SKIP_REMEDY}") from error
            spoilt[shard] = str(error)
            continue
        yield key, image, Position(epoch, number)


class CropStream(IterableDataset):
    """Endless batches of one rank.

    The rank's samples are dealt to ``workers`` lanes (one without workers), each a reader of its own; batches are
    taken from the lanes in turn, step s from lane s modulo lanes. So the order depends on settings and step alone,
    never on which worker is faster. ``settings.sampling`` says whether studies or slices weigh the same.

    Where spoilt shards are skipped, each lane leaves one out from the slice on that it could not decode. Which shards a
    lane has left out is part of where it stands.
    """

    def __init__(
        self,
        tars: Sequence[Path],
        settings: BackboneSettings,
        *,
        open_reader: OpenReader,
        rank: int,
        world: int,
        step: int = 0,
        positions: Sequence[Position] | None = None,
        spoilt: Sequence[Spoilt] | None = None,
        excluded: frozenset[str] = frozenset(),
        gram_px: int | None = None,
    ) -> None:
        self.tars, self.settings, self.open_reader = list(tars), settings, open_reader
        self.rank, self.world, self.step, self.excluded = rank, world, step, excluded
        self.gram_px = gram_px
        self.lanes = max(settings.workers, 1)
        self.positions = list(positions) if positions is not None else [Position(0, 0)] * self.lanes
        if len(self.positions) != self.lanes:
            raise ValueError(
                f"{len(self.positions)} saved lanes, {self.lanes} wanted: resume with the same workers"
            )
        self.spoilt = list(spoilt) if spoilt is not None else [{} for _ in range(self.lanes)]

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        # A loader asks its worker 0 first; that worker takes the lane whose turn it is at this step.
        return self._batches((self.step + (worker.id if worker else 0)) % self.lanes)

    def _samples(self, lane: int, spoilt: Spoilt) -> Iterator[tuple[str, np.ndarray, Position]]:
        reader = self.open_reader(
            self.tars,
            seed=self.settings.seed,
            rank=self.rank * self.lanes + lane,
            world=self.world * self.lanes,
            balance=self.settings.sampling,
        )
        epoch, start = self.positions[lane]
        policy = self.settings.corrupt_shards
        while True:
            found = start > 0
            for sample in sound_samples(
                reader, epoch, start, spoilt=spoilt, policy=policy, excluded=self.excluded
            ):
                found = True
                yield sample
            if not found:
                raise ValueError(
                    "a data worker has no slice to read: lower backbone.workers or backbone.processes"
                    + (f"; left out as spoilt: {', '.join(spoilt)}" if spoilt else "")
                )
            epoch, start = epoch + 1, 0

    def _batches(self, lane: int) -> Iterator[Batch]:
        multi_crop = MultiCrop(self.settings, self.gram_px)
        spoilt = dict(self.spoilt[lane])
        samples = self._samples(lane, spoilt)
        while True:
            drawn = [next(samples) for _ in range(self.settings.batch_size)]
            seeds = [sample_seed(self.settings.seed, position, key) for key, _, position in drawn]
            crops = multi_crop(np.stack([image for _, image, _ in drawn]), seeds)
            yield Batch(crops, lane, drawn[-1][2], dict(spoilt))


def open_stream(stream: CropStream) -> Iterator[Batch]:
    """Iterate a stream, through worker processes where the settings want them."""
    if stream.settings.workers == 0:
        return iter(stream)
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=stream.lanes,
        pin_memory=torch.cuda.is_available(),
        # The loader draws a seed for its workers when it starts; not from the generator that training resumes.
        generator=torch.Generator().manual_seed(stream.settings.seed),
    )
    return iter(loader)
