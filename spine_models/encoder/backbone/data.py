"""Batches of crops from shards, in an order that a resumed run continues exactly.

Belongs here: reader lanes, per-sample seeds, positions, worker processes. Does not belong here: what a crop is
(augment), how a tar is read (shards).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from spine_models.config import BackboneSettings
from spine_models.encoder.backbone.augment import Crops, MultiCrop


class Reader(Protocol):
    """What training needs of ``corpus.shards.EpochReader``."""

    keys: tuple[str, ...]

    def epoch(self, n: int, start: int = 0) -> Iterator[tuple[str, np.ndarray]]:
        """Samples of epoch ``n`` from the ``start``-th on: (slice_key, uint16 [S, S])."""


class OpenReader(Protocol):
    """Opens shards; ``corpus.shards.EpochReader`` itself."""

    def __call__(self, tars: Sequence[Path], *, seed: int, rank: int, world: int, balance: str) -> Reader:
        """A reader of one rank's samples."""


class Position(NamedTuple):
    """Where a lane stands: the epoch and the number of its samples that are used up."""

    epoch: int
    sample: int


class Batch(NamedTuple):
    """One step's crops, and where its lane stands after it."""

    crops: Crops
    lane: int
    position: Position


def sample_seed(seed: int, position: Position, slice_key: str) -> int:
    """Augmentation seed of one draw of a slice: the same wherever and whenever this draw is made."""
    text = f"{seed}/{position.epoch}/{position.sample}/{slice_key}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class CropStream(IterableDataset):
    """Endless batches of one rank.

    The rank's samples are dealt to ``workers`` lanes (one without workers), each a reader of its own; batches are
    taken from the lanes in turn, step s from lane s modulo lanes. So the order depends on settings and step alone,
    never on which worker is faster. Studies weigh the same whatever their number of slices.
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

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        # A loader asks its worker 0 first; that worker takes the lane whose turn it is at this step.
        return self._batches((self.step + (worker.id if worker else 0)) % self.lanes)

    def _samples(self, lane: int) -> Iterator[tuple[str, np.ndarray, Position]]:
        reader = self.open_reader(
            self.tars,
            seed=self.settings.seed,
            rank=self.rank * self.lanes + lane,
            world=self.world * self.lanes,
            balance="study",
        )
        epoch, start = self.positions[lane]
        while True:
            sample, found = start, start > 0
            for key, image in reader.epoch(epoch, start):
                sample += 1
                if key not in self.excluded:
                    found = True
                    yield key, image, Position(epoch, sample)
            if not found:
                raise ValueError(
                    "a data worker has no slice to read: lower backbone.workers or backbone.processes"
                )
            epoch, start = epoch + 1, 0

    def _batches(self, lane: int) -> Iterator[Batch]:
        multi_crop = MultiCrop(self.settings, self.gram_px)
        samples = self._samples(lane)
        while True:
            drawn = [next(samples) for _ in range(self.settings.batch_size)]
            seeds = [sample_seed(self.settings.seed, position, key) for key, _, position in drawn]
            yield Batch(multi_crop(np.stack([image for _, image, _ in drawn]), seeds), lane, drawn[-1][2])


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
