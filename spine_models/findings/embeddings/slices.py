"""Slice vectors: which rows are stale, and their recomputation from the shards.

Belongs here: the comparison with the previous table, batching through an encoder, the checks on what it
returns. Does not belong here: encoders themselves (``encoder.backbone``), reading tars (``images``),
averaging (``pooling``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from spine_models.config import EmbeddingSettings
from spine_models.findings.embeddings.images import EmbeddingError, stored_images
from spine_models.findings.embeddings.tables import SLICES

FRESHNESS = ["slice_key", "encoder", "model_version", "preprocessing_version", "pixel_hash"]
"""A stored vector is reused only where all of these agree; anything else is computed again."""

ORDER = ["study_key", "series_key", "slice_key"]


class Encoder(Protocol):
    """What this stage needs of an encoder; ``encoder.backbone.encoder.Encoder`` is one."""

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
    progress: Callable[[int, int], None] | None = None,
) -> tuple[pl.DataFrame, int]:
    """Vectors of one batch's slices, reusing every row of ``previous`` that is still true.

    Args:
        slices: shards.SLICES of one batch.
        shard_root: folder that ``slices.shard`` is relative to.
        encoders: encoder by route; slices of other routes get no row, never a zero vector.
        previous: embeddings.SLICES of an earlier run, or None. Rows whose slice vanished are dropped.
        settings: batching; no effect on the vectors beyond float rounding.
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
    parts = [kept]
    done = 0
    for route, encoder in sorted(encoders.items()):
        rows = stale.filter(pl.col("route") == route)
        vectors: dict[str, np.ndarray] = {}
        for keys, images in _image_batches(rows, shard_root, settings.batch_size):
            vectors.update(zip(keys, _encode(encoder, images), strict=True))
            done += len(keys)
            if progress is not None:
                progress(done, stale.height)
        if vectors:
            parts.append(_with_vectors(rows.drop("shard"), np.stack([vectors[k] for k in rows["slice_key"]])))
    return pl.concat(parts).sort(ORDER), done


def missing_vectors(slices: pl.DataFrame, vectors: pl.DataFrame, encoders: Mapping[str, Encoder]) -> int:
    """Number of slices, of routes with an encoder, without one finite vector of that encoder and their pixels."""
    finite = vectors.filter(
        pl.col("vector").list.len() > 0,
        pl.col("vector").list.eval(pl.element().is_finite()).list.all(),
    )
    held = finite.unique(FRESHNESS, keep="none").select(FRESHNESS)
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


def _still_true(wanted: pl.DataFrame, previous: pl.DataFrame | None) -> pl.DataFrame:
    if previous is None or previous.is_empty():
        return pl.DataFrame(schema=SLICES)
    held = previous.select(*FRESHNESS, "vector").unique("slice_key", keep="first", maintain_order=True)
    return wanted.join(held, on=FRESHNESS, how="inner").select(*SLICES)


def _image_batches(rows: pl.DataFrame, shard_root: Path, size: int) -> Iterator[tuple[list[str], np.ndarray]]:
    """Keys and images uint16 [n <= size, S, S]; no tar without a stale member is opened."""
    keys: list[str] = []
    images: list[np.ndarray] = []
    for key, image in stored_images(rows, shard_root):
        keys.append(key)
        images.append(image)
        if len(keys) == size:
            yield keys, np.stack(images)
            keys, images = [], []
    if keys:
        yield keys, np.stack(images)


def _encode(encoder: Encoder, images: np.ndarray) -> np.ndarray:
    vectors = np.asarray(encoder.encode(images))
    if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(images):
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


def _with_vectors(rows: pl.DataFrame, vectors: np.ndarray) -> pl.DataFrame:
    """``rows`` with float32 [N, D] as their vector column, in the schema's order."""
    column = pl.Series("vector", vectors.reshape(len(vectors), -1)).cast(pl.List(pl.Float32))
    return rows.with_columns(column).select(*SLICES)
