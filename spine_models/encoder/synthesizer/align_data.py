"""Studies for the training with reports: which slices of a study are drawn, and their images read from the shards.

Belongs here: the studies of a split, the draw, reading and proving, padding to a bag. Does not belong here: writing
shards, report vectors, networks.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor

from spine_models.corpus.shards import EpochReader
from spine_models.domain import Split
from spine_models.encoder.clip.data import ClipDataError, choose_slices, kind_of, report_texts
from spine_models.encoder.clip.encoding import prove

_COLUMNS = (
    "batch_key", "shard", "patient_key", "study_key", "series_key", "slice_key", "slice_index", "plane", "pixel_hash",
)  # fmt: skip


class ImageBag(NamedTuple):
    """Slices of B studies: M images, and where each goes among the at most S slices of its study."""

    images: np.ndarray  # [M, px, px] uint16
    owner: Tensor  # [M] int64, the study of an image, below B
    slot: Tensor  # [M] int64, its place there, below S
    mask: Tensor  # [B, S] bool, True for slices
    series: Tensor  # [B, S] int64, number of the series within the study
    kind: Tensor  # [B, S] int64 of clip.data.KINDS


class AlignStudies:
    """Studies of one split that have a report and a slice, in key order.

    The index of their slices lies in memory, some hundred bytes a slice; images are read when they are asked for.

    Attributes:
        study_keys: of the studies.
        patient_keys: the same length.
        reports: the same length, none of them empty.
    """

    def __init__(
        self, slices: pl.DataFrame, reports: pl.DataFrame, *, split: str, routes: str = "all"
    ) -> None:
        """Gather studies.

        Args:
            slices: ``corpus.shards`` SLICES of the frozen manifest's patients.
            reports: study_key and report_text; one row a study at most.
            split: "train" or "val".
            routes: "all" series, or those of route "other" alone.

        Raises:
            ClipDataError: slices of split test, or two reports of one study.
        """
        if slices.filter(split=Split.TEST.value).height:
            raise ClipDataError("slices of split test were given to the alignment: give the manifest's alone")
        texts = {key: text for key, text in report_texts(reports).items() if text and text.strip()}
        rows = slices.filter(pl.col("split") == split, pl.col("study_key").is_in(list(texts)))
        if routes != "all":
            rows = rows.filter(route=routes)
        order = ("study_key", "series_key", "slice_index", "slice_key")
        self._rows = rows.select(_COLUMNS).sort(order)
        series = self._rows.group_by(order[:2], maintain_order=True).agg(
            pl.len(), pl.col("patient_key").first()
        )
        studies = series.group_by("study_key", maintain_order=True).agg("len", pl.col("patient_key").first())
        self.study_keys: list[str] = studies["study_key"].to_list()
        self.patient_keys: list[str] = studies["patient_key"].to_list()
        self.reports = [texts[key] for key in self.study_keys]
        self._lengths: list[list[int]] = studies["len"].to_list()
        self._starts = np.cumsum([0, *(sum(own) for own in self._lengths)])

    def __len__(self) -> int:
        return len(self.study_keys)

    @property
    def shards(self) -> list[tuple[str, str]]:
        """Batch and shard of the slices, each once."""
        return self._rows.select("batch_key", "shard").unique().sort("batch_key", "shard").rows()

    def drawn(self, index: int, most: int, rng: np.random.Generator) -> pl.DataFrame:
        """At most ``most`` slices of a study: rows by series and place, with ``series``, its number in the study."""
        chosen = drawn_slices(self._lengths[index], most, rng)
        firsts = self._starts[index] + np.cumsum([0, *self._lengths[index][:-1]])
        rows = [int(first) + i for first, own in zip(firsts, chosen, strict=True) for i in own]
        return self._rows[rows].with_columns(series=pl.col("series_key").rle_id().cast(pl.Int64))

    def sha256(self) -> str:
        """Hash of keys, reports, and of every slice's pixels and place."""
        digest = hashlib.sha256()
        for key, patient, text in zip(self.study_keys, self.patient_keys, self.reports, strict=True):
            digest.update(json.dumps([key, patient, text]).encode())
        content = self._rows.drop("batch_key", "shard")
        for part in content.iter_slices(100_000):
            digest.update(part.write_csv(include_header=False).encode())
        return digest.hexdigest()


def drawn_slices(lengths: Sequence[int], most: int, rng: np.random.Generator) -> list[list[int]]:
    """Which slices of each series are taken, at most ``most`` in all.

    Series share the number as in ``clip.data.choose_slices``, in an order that is drawn, so that none is always the
    one that gets less. Within a series one slice is drawn from each of as many equal stretches.

    Returns:
        Ascending indices for each series.
    """
    order = rng.permutation(len(lengths)).tolist()
    shared = choose_slices([lengths[i] for i in order], most)
    chosen: list[list[int]] = [[] for _ in lengths]
    for i, own in zip(order, shared, strict=True):
        if own:
            bounds = lengths[i] * np.arange(len(own) + 1) // len(own)
            chosen[i] = rng.integers(bounds[:-1], bounds[1:]).tolist()
    return chosen


class SliceImages:
    """Images by slice key, read by offset when they are asked for; the shards' member tables lie in memory."""

    def __init__(self, shards: Sequence[tuple[str, str]], shard_roots: Mapping[str, Path]) -> None:
        """Open shards.

        Args:
            shards: batch and shard of all slices that will be asked for, at least one.
            shard_roots: per batch, the folder that a shard is relative to.

        Raises:
            ClipDataError: a batch without a folder.
            ShardError: a file that is not a whole shard.
        """
        if missing := sorted({batch for batch, _ in shards} - set(shard_roots)):
            raise ClipDataError(f"batch {missing[0]} has slices but no shard folder: materialise its shards")
        self._reader = EpochReader([shard_roots[batch] / shard for batch, shard in shards], seed=0)

    def read(self, rows: pl.DataFrame) -> np.ndarray:
        """uint16 [n, S, S] of rows with batch_key, shard, slice_key and pixel_hash, at least one.

        Raises:
            ClipDataError: a slice that is not in its shard, or not the one that was indexed.
            ShardError: a shard that has changed since it was opened.
        """
        images = []
        for batch, shard, key, pixel_hash in rows.select(
            "batch_key", "shard", "slice_key", "pixel_hash"
        ).rows():
            position = bisect.bisect_left(self._reader.keys, key)
            if self._reader.keys[position : position + 1] != (key,):
                raise ClipDataError(
                    f"a slice of the manifest is not in {shard} of batch {batch}: "
                    "materialise the shards of this batch again"
                )
            image = self._reader[position][1]
            prove(image, pixel_hash, f"{shard} of batch {batch}")
            images.append(image)
        self._reader.close()  # a corpus has more shards than a process may hold open
        return np.stack(images)


def image_bag(drawn: Sequence[pl.DataFrame], images: SliceImages) -> ImageBag:
    """The drawn slices of B studies (``AlignStudies.drawn``), read and padded to the longest."""
    lengths = torch.tensor([rows.height for rows in drawn])
    mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    owner, slot = mask.nonzero(as_tuple=True)
    rows = pl.concat(drawn)
    series, kind = (torch.zeros(mask.shape, dtype=torch.int64) for _ in range(2))
    series[owner, slot] = torch.tensor(rows["series"].to_list())
    kind[owner, slot] = torch.tensor([kind_of(plane) for plane in rows["plane"]])
    return ImageBag(images.read(rows), owner, slot, mask, series, kind)
