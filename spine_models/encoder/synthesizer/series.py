"""A few slices of every series, read from the shards, for looking at the gates.

Belongs here: choosing and reading them. Does not belong here: gates (gate_table).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from spine_models.corpus.shards import read_slices
from spine_models.encoder.clip.data import choose_slices
from spine_models.encoder.synthesizer.gate_table import SeriesImages


def series_images(
    slices: pl.DataFrame, shard_roots: Mapping[str, Path], *, per_series: int
) -> Iterator[SeriesImages]:
    """Evenly spaced slices of every series, shard after shard.

    Args:
        slices: rows of ``corpus.shards`` SLICES; series are told apart by ``series_key``.
        shard_roots: per batch, the folder that ``shard`` is relative to.
        per_series: at most so many of each.

    Yields:
        A series when the shard with its last slice has been read, its slices in anatomical order.
    """
    rows = slices.sort("series_key", "slice_index", "slice_key")
    chosen = pl.concat(
        [
            part[choose_slices([part.height], per_series)[0]]
            for part in rows.partition_by("series_key", maintain_order=True)
        ]
        or [rows]
    )
    wanted: dict[str, list[str]] = {}
    owner = {}
    contrasts = dict(chosen.select("series_key", "contrast").rows())
    for series, key in chosen.select("series_key", "slice_key").rows():
        wanted.setdefault(series, []).append(key)
        owner[key] = series
    read: dict[str, dict[str, np.ndarray]] = {}
    placed = chosen.sort("batch_key", "shard", "series_key")
    for (batch, shard), part in placed.group_by("batch_key", "shard", maintain_order=True):
        keys = frozenset(part["slice_key"])
        for key, image in read_slices([shard_roots[str(batch)] / str(shard)], keys):
            series = owner[key]
            read.setdefault(series, {})[key] = image
            if len(read[series]) == len(wanted[series]):
                images = read.pop(series)
                yield SeriesImages(series, contrasts[series], np.stack([images[k] for k in wanted[series]]))
