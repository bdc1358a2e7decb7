"""Slice vectors: which rows are stale, and their recomputation from the shards.

Belongs here: the comparison with the previous table, batching through an encoder, the checks on what it
returns. Does not belong here: encoders themselves (``encoders``), reading tars (``images``), the file of an unfinished
run (``journal``), what is said of a refresh (``refreshed``), averaging (``pooling``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import polars as pl

from spine_models.config import EmbeddingSettings
from spine_models.findings.embeddings.ahead import read_ahead
from spine_models.findings.embeddings.images import EmbeddingError, Located, locate, read_located
from spine_models.findings.embeddings.journal import Journal
from spine_models.findings.embeddings.pooling import as_lists, sound
from spine_models.findings.embeddings.tables import SLICES

FRESHNESS = ["slice_key", "encoder", "model_version", "preprocessing_version", "pixel_hash"]
"""A stored vector is reused only where all of these agree; anything else is computed again."""

ORDER = ["study_key", "series_key", "slice_key"]

AHEAD: Final = 2
"""Encoder batches that are read and decoded while one is encoded."""

Pick = tuple[list[str], np.ndarray]


class Encoder(Protocol):
    """What this stage needs of an encoder; those of ``encoders.open_embedders`` are some."""

    name: str
    route: str
    version: str

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Vectors float32 [N, D] of images uint16 [N, S, S]; a row does not depend on its batch mates."""
        ...


def embed_slices(
    slices: pl.DataFrame,
    *,
    shard_root: Path,
    encoders: Mapping[str, Encoder],
    previous: pl.DataFrame | None,
    settings: EmbeddingSettings,
    journal: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pl.DataFrame, int]:
    """Vectors of one batch's slices, reusing every row of ``previous`` that is still true.

    Args:
        slices: shards.SLICES of one batch.
        shard_root: folder that ``slices.shard`` is relative to.
        encoders: encoder by route; slices of other routes get no row, never a zero vector.
        previous: embeddings.SLICES of an earlier run, or None. Rows whose slice vanished are dropped; rows whose
            vector is not finite are computed again.
        settings: batching; no effect on the vectors beyond float rounding.
        journal: file that vectors are noted in as they are computed. What an earlier run noted there is not computed
            again, and with the same ``slices`` and ``previous`` the result is bitwise that of an unbroken run: encoder
            batches are cut as that run cuts them. Whoever has stored the result removes it. None keeps no journal.
        progress: called with (computed, to compute) after every encoder batch.

    Returns:
        embeddings.SLICES sorted by study, series and slice key, and the number of rows computed now.

    Raises:
        EmbeddingError: an encoder registered under another route, a shard that lacks a listed slice, or
            vectors that are not finite float32 [N, D].
    """
    for route, encoder in encoders.items():
        if encoder.route != route:
            raise EmbeddingError(
                f"the encoder of route {encoder.route!r} is given for route {route!r}: "
                "load the encoder of that route"
            )
    wanted = _wanted(slices, encoders)
    kept = _still_true(wanted, previous)
    stale = wanted.join(kept, on="slice_key", how="anti")
    parts, computed, done = [kept], 0, 0
    with nullcontext(None) if journal is None else Journal(journal, FRESHNESS) as noted:
        for route, encoder in sorted(encoders.items()):
            rows = stale.filter(pl.col("route") == route)
            known = _still_true(rows, None if noted is None else noted.rows)
            fresh = rows.join(known, on="slice_key", how="anti")
            parts.append(known)
            done += known.height
            places = {row: n for n, row in enumerate(fresh["slice_key"])}
            vectors: np.ndarray | None = None
            batches = _image_batches(rows, places, shard_root, settings.batch_size)
            for keys, images in read_ahead(batches, AHEAD):
                found, at = _encode(encoder, images), [places[key] for key in keys]
                if vectors is None:
                    vectors = np.empty((fresh.height, found.shape[1]), np.float32)
                elif vectors.shape[1] != found.shape[1]:
                    raise EmbeddingError(
                        f"the encoder of route {route!r} returned vectors of {vectors.shape[1]} and of "
                        f"{found.shape[1]} elements: one encoder has one length"
                    )
                vectors[at] = found
                if noted is not None:
                    noted.add(fresh[at], found)
                done, computed = done + len(keys), computed + len(keys)
                if progress is not None:
                    progress(done, stale.height)
            if vectors is not None:
                parts.append(fresh.with_columns(as_lists(vectors)).select(*SLICES))
    return pl.concat(parts).sort(ORDER), computed


def missing_vectors(slices: pl.DataFrame, vectors: pl.DataFrame, encoders: Mapping[str, Encoder]) -> int:
    """Number of slices, of routes with an encoder, without one finite vector of that encoder and their pixels."""
    held = vectors.filter(sound(vectors["vector"])).unique(FRESHNESS, keep="none").select(FRESHNESS)
    return _wanted(slices, encoders).join(held, on=FRESHNESS, how="anti").height


def _wanted(slices: pl.DataFrame, encoders: Mapping[str, Encoder]) -> pl.DataFrame:
    """The rows to be had: embeddings.SLICES without the vector, with the shard to read from."""
    versions = pl.DataFrame(
        [(route, encoder.name, encoder.version) for route, encoder in sorted(encoders.items())],
        schema={"route": pl.String, "encoder": pl.String, "model_version": pl.String},
        orient="row",
    )
    columns = [name for name in SLICES if name != "vector"]
    return slices.join(versions, on="route", how="inner").select(*columns, "shard").sort("shard", "slice_key")


def _still_true(wanted: pl.DataFrame, held: pl.DataFrame | None) -> pl.DataFrame:
    """Rows of ``wanted`` with the vector that ``held`` has of exactly these pixels and versions."""
    if held is None or held.is_empty() or wanted.is_empty():
        return pl.DataFrame(schema=SLICES)
    known = held.select(*FRESHNESS, "vector").unique("slice_key", keep="first", maintain_order=True)
    known = known.join(wanted.select(FRESHNESS), on=FRESHNESS, how="semi")
    known = known.filter(sound(known["vector"]))
    return wanted.join(known, on=FRESHNESS, how="inner").select(*SLICES)


def _image_batches(
    rows: pl.DataFrame, wanted: Mapping[str, int], shard_root: Path, size: int
) -> Iterator[Pick]:
    """Keys and images uint16 [n <= size, S, S] of those ``rows`` that are ``wanted``.

    Batches are cut over all ``rows``, so that a vector's batch mates, and with them its last bits, do not depend on
    where an earlier run was stopped.
    """
    places = locate(rows, shard_root) if wanted else []
    for start in range(0, len(places), size):
        todo = [place for place in places[start : start + size] if place.member.slice_key in wanted]
        if todo:
            yield _read(todo)


def _read(places: Sequence[Located]) -> Pick:
    keys: list[str] = []
    images: np.ndarray | None = None
    for n, (key, image) in enumerate(read_located(places)):
        if images is None:
            images = np.empty((len(places), *image.shape), np.uint16)
        if image.shape != images.shape[1:]:
            raise EmbeddingError(
                f"slices of one batch are of {images.shape[1]} and of {image.shape[0]} px: "
                "materialise shards of this batch again"
            )
        images[n] = image
        keys.append(key)
    assert images is not None  # places are never empty
    return keys, images


def _encode(encoder: Encoder, images: np.ndarray) -> np.ndarray:
    vectors = np.asarray(encoder.encode(images))
    if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(images) or not vectors.size:
        raise EmbeddingError(
            f"the encoder of route {encoder.route!r} returned {vectors.dtype} {list(vectors.shape)} for "
            f"{len(images)} images: float32 [N, D] is needed"
        )
    if not np.isfinite(vectors).all():
        raise EmbeddingError(
            f"the encoder of route {encoder.route!r} returned values that are not finite: its weights are "
            "damaged or its training diverged; train it again"
        )
    return vectors
