"""Slices through several models in one pass, and each model's study vectors, pooled as SpineFM's.

Every slice is read once and given to all models of its route; a study's vector is the mean over its series of their
means over slices (``pooling``).

Belongs here: the pass and the means. Does not belong here: the models, and the tables that their vectors go to.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
import polars as pl

from spine_models.domain import Route
from spine_models.findings.embeddings.images import stored_images
from spine_models.findings.embeddings.pooling import group_means

ROUTES: Final = (Route.T1.value, Route.T2.value, Route.OTHER.value)
BATCH: Final = 64
"""Images that a model is given at a time."""

Name = TypeVar("Name", bound=Hashable)
Encode = Callable[[np.ndarray], np.ndarray | None]
"""Vectors [n, D] of images uint16 [n, S, S]; None where the model knows nothing of their route."""


class StudyMeans(NamedTuple, Generic[Name]):
    """One model's vectors of one route.

    Attributes:
        name: of the model.
        route: t1, t2 or other.
        studies: study_key, patient_key, n_series, sorted by study.
        vectors: float32 [N, D] of these studies.
    """

    name: Name
    route: str
    studies: pl.DataFrame
    vectors: np.ndarray


def study_means(
    slices: pl.DataFrame,
    shard_roots: Mapping[str, Path],
    models: Mapping[str, Mapping[Name, Encode]],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[StudyMeans[Name]]:
    """Study vectors by every model, route by route and in the order of a route's models.

    Args:
        slices: shards.SLICES of all batches.
        shard_roots: shard folder by batch key.
        models: by route and name; slices of a route without any are not read. A model that answers None of a route
            has no vectors of it.
        progress: called with (slices done, slices) after every batch of images.

    Raises:
        ValueError: a batch without a shard folder.
        EmbeddingError: shards and slice table do not belong together.
    """
    rows = in_reading_order(slices, shard_roots, [route for route in ROUTES if models.get(route)])
    series_of = dict(zip(rows["slice_key"], rows["series_key"], strict=True))
    sums: dict[tuple[str, Name], dict[str, np.ndarray]] = {}
    done = 0
    for route, keys, images in slice_batches(rows, shard_roots):
        for name, encode in models[route].items():
            vectors = encode(images)
            if vectors is None:
                continue
            own = sums.setdefault((route, name), {})
            for key, vector in zip(keys, vectors.astype(np.float64), strict=True):
                series = series_of[key]
                own[series] = own[series] + vector if series in own else vector
        done += len(keys)
        if progress is not None:
            progress(done, rows.height)
    return [_pooled(rows, own, name, route) for (route, name), own in sums.items()]


def in_reading_order(
    slices: pl.DataFrame, shard_roots: Mapping[str, Path], routes: Sequence[str] = ROUTES
) -> pl.DataFrame:
    """The slices of some routes as they lie in the shards.

    Raises:
        ValueError: a batch without a shard folder.
    """
    rows = slices.filter(pl.col("route").is_in(routes)).sort("batch_key", "shard", "slice_key")
    if homeless := sorted(set(rows["batch_key"].to_list()) - set(shard_roots)):
        raise ValueError(f"no shard folder for batch {homeless[0]}: materialise shards of this batch")
    return rows


def slice_batches(
    rows: pl.DataFrame, shard_roots: Mapping[str, Path]
) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """Route, keys and images uint16 [n <= 64, S, S]; a route at a time, so that batches are full.

    Args:
        rows: shards.SLICES; batches of shards come in the order of the rows.
        shard_roots: shard folder by batch key.

    Raises:
        EmbeddingError: shards and slice table do not belong together.
    """
    for route in ROUTES:
        parts = rows.filter(pl.col("route") == route).group_by("batch_key", maintain_order=True)
        images = chain.from_iterable(stored_images(part, shard_roots[str(batch)]) for (batch,), part in parts)
        for keys, stack in stacked(images):
            yield route, keys, stack


def stacked(images: Iterable[tuple[str, np.ndarray]]) -> Iterator[tuple[list[str], np.ndarray]]:
    """Keys and images [n <= 64, S, S] of images [S, S] with their keys, in order; all but the last are full."""
    held = iter(images)
    while part := list(islice(held, BATCH)):
        yield [key for key, _ in part], np.stack([image for _, image in part])


def _pooled(rows: pl.DataFrame, sums: Mapping[str, np.ndarray], name: Name, route: str) -> StudyMeans[Name]:
    """Sums over slices by series to study means."""
    series = (
        rows.filter(pl.col("route") == route, pl.col("series_key").is_in(list(sums)))
        .group_by("study_key", "series_key")
        .agg(pl.col("patient_key").first(), pl.len().alias("n"))
        .sort("study_key", "series_key")
    )
    means = np.stack([sums[key] for key in series["series_key"]]) / series["n"].to_numpy()[:, None]
    studies = series.group_by("study_key", maintain_order=True).agg(
        pl.col("patient_key").first(), pl.len().alias("n_series")
    )
    return StudyMeans(
        name, route, studies, group_means(means.astype(np.float32), studies["n_series"].to_numpy())
    )
