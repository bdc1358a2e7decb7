"""Slices read back from their shards and encoded into the files of ``vectors``.

Belongs here: the share of a rank, proving what was read, writing aside and renaming. Does not belong here: which
slices, content keys, studies (``vectors``).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import polars as pl

from spine_models.corpus.shards import read_slices
from spine_models.encoder.backbone.distributed import barrier, rank, world_size
from spine_models.encoder.clip.data import ClipDataError

INDEX: Final = "index.parquet"
ABOUT: Final = "vectors.json"
CHUNK: Final = 64  # images at a time; bounds memory

Progress = Callable[[int, int], None]


class SliceEncoder(Protocol):
    """What is needed of ``encoder.backbone.encoder.Encoder``."""

    name: str
    version: str
    dim: int

    def encode(self, images: np.ndarray) -> np.ndarray:
        """[N, S, S] uint16 to [N, dim] float32."""


def write_vectors(
    chosen: pl.DataFrame,
    index: pl.DataFrame,
    shard_roots: Mapping[str, Path],
    encoders: Mapping[str, SliceEncoder],
    out: Path,
    about: dict[str, Any],
    progress: Progress | None,
) -> None:
    """Encode into a folder aside, every rank its share, and rename it when all are done.

    Args:
        chosen: rows of SLICES in the order of the files.
        index: the same rows as ``tables.VECTORS``.
        shard_roots: per batch, the folder that ``shard`` is relative to.
        encoders: by route.
        out: of the folder; what is there is replaced.
        about: content of ``vectors.json``; ``routes`` gives each array's shape.
        progress: called on rank 0 with (slices done, slices in all) of its share.

    Raises:
        ClipDataError: see ``vectors.slice_vectors``.
        ShardError: a shard that cannot be read.
    """
    writing = out.with_name(f".{out.name}.writing")
    files = {route: writing / f"{route}.npy" for route in about["routes"]}
    if rank() == 0:
        shutil.rmtree(writing, ignore_errors=True)
        writing.mkdir(parents=True)
        for route, own in about["routes"].items():
            np.lib.format.open_memmap(files[route], mode="w+", dtype=np.float32, shape=tuple(own["shape"]))
    barrier()
    # Neighbours in a shard go to one rank, so a shard is opened by one or two of them.
    placed = chosen.with_columns(row=pl.int_range(pl.len()).over("route", order_by=None)).sort(
        "route", "batch_key", "shard", "slice_key"
    )
    start, stop = (placed.height * r // world_size() for r in (rank(), rank() + 1))
    done = 0
    for (route,), part in placed[start:stop].group_by("route", maintain_order=True):
        array = np.load(files[str(route)], mmap_mode="r+")
        encoder = encoders[str(route)]
        for rows, images in _read(part, shard_roots):
            vectors = encoder.encode(images)
            if not np.isfinite(vectors).all():
                raise ClipDataError(
                    f"encoder {encoder.name} {encoder.version} gives vectors that are not finite: train it again"
                )
            array[rows] = vectors
            done += len(rows)
            if progress is not None and rank() == 0:
                progress(done, stop - start)
        array.flush()
    barrier()
    if rank() == 0:
        index.write_parquet(writing / INDEX)
        (writing / ABOUT).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        writing.rename(out)
    barrier()


def _read(rows: pl.DataFrame, shard_roots: Mapping[str, Path]) -> Iterator[tuple[list[int], np.ndarray]]:
    """Numbers and images [n, S, S] of rows with ``row``, each proved by its hash, at most CHUNK at a time."""
    numbers: list[int] = []
    images: list[np.ndarray] = []
    for (batch, shard), part in rows.group_by("batch_key", "shard", maintain_order=True):
        wanted = {key: (row, own) for key, row, own in part.select("slice_key", "row", "pixel_hash").rows()}
        if str(batch) not in shard_roots:
            raise ClipDataError(f"batch {batch} has slices but no shard folder: materialise its shards")
        for key, image in read_slices([shard_roots[str(batch)] / str(shard)], frozenset(wanted)):
            row, pixel_hash = wanted.pop(key)
            prove(image, pixel_hash, f"{shard} of batch {batch}")
            numbers.append(row)
            images.append(image)
            if len(images) == CHUNK:
                yield numbers, np.stack(images)
                numbers, images = [], []
        if wanted:
            raise ClipDataError(
                f"{len(wanted)} slices of the manifest are not in {shard} of batch {batch}: "
                "materialise the shards of this batch again"
            )
    if images:
        yield numbers, np.stack(images)


def prove(image: np.ndarray, pixel_hash: str, place: str) -> None:
    """Whether an image read back is the one that was indexed.

    Args:
        image: uint16 [S, S].
        pixel_hash: of the slice index.
        place: shard and batch, for the message.

    Raises:
        ClipDataError: it is another one.
    """
    if hashlib.sha256(image.astype("<u2").tobytes()).hexdigest() != pixel_hash:
        raise ClipDataError(
            f"a slice in {place} is not the one in the slice index: materialise the shards of this batch again"
        )
