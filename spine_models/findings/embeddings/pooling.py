"""From slices to series to studies: plain means, each level weighing its members equally.

A series vector is the mean of its slices and a study vector (one per route) is the mean of its series, so
that a series of 200 slices weighs as much as one of 7. A route that a study lacks is a missing row, never a
zero vector.

Belongs here: the two means and what they refuse. Does not belong here: joining routes (``probes``), learned pooling.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from spine_models.domain import Plane
from spine_models.findings.embeddings.images import EmbeddingError
from spine_models.findings.embeddings.tables import SERIES, STUDIES
from spine_models.findings.embeddings.versions import VERSIONS

AGAIN: Final = "materialise the embeddings of this batch again"


class MixedVersionsError(EmbeddingError):
    """Vectors of two models, two preprocessings or two routes in one mean; the message says of which route."""


def pool_series(slice_vectors: pl.DataFrame) -> pl.DataFrame:
    """embeddings.SERIES from embeddings.SLICES: mean over slices, summed in float64 in key order.

    A series whose slices lie in several planes (a three-plane localizer) has plane ``unknown``.

    Raises:
        MixedVersionsError: slices of one series come from two models or two preprocessings, or are of two routes.
        EmbeddingError: a vector is missing, has no elements, or one that is not finite.
    """
    keys = ["study_key", "series_key", "route"]
    two = (
        slice_vectors.select(keys)
        .unique()
        .group_by("study_key", "series_key")
        .len()
        .filter(pl.col("len") > 1)
    )
    if two.height:
        raise MixedVersionsError(f"{two.height} series have slices of two routes: {AGAIN}")
    return _pool(
        slice_vectors,
        keys,
        inner="slice_key",
        schema=SERIES,
        columns=[
            pl.when(pl.col("plane").n_unique() == 1)
            .then(pl.col("plane").first())
            .otherwise(pl.lit(Plane.UNKNOWN.value))
            .alias("plane"),
            pl.len().cast(pl.Int32).alias("n_slices"),
        ],
    )


def pool_studies(series_vectors: pl.DataFrame) -> pl.DataFrame:
    """embeddings.STUDIES from embeddings.SERIES: one row per study and route, mean over series.

    Raises:
        MixedVersionsError: series of one study and route come from two models or two preprocessings.
        EmbeddingError: a vector is missing, has no elements, or one that is not finite.
    """
    return _pool(
        series_vectors,
        ["study_key", "route"],
        inner="series_key",
        schema=STUDIES,
        columns=[
            pl.len().cast(pl.Int32).alias("n_series"),
            pl.col("n_slices").sum().cast(pl.Int32).alias("n_slices"),
        ],
    )


def group_means(vectors: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Means float32 [G, D] of consecutive groups of rows of ``vectors`` [N, D]; ``lengths`` [G] sum to N."""
    # Group by group: `np.add.reduceat` takes ten times as long, and would hold all of ``vectors`` in float64.
    means = np.empty((len(lengths), vectors.shape[1]), np.float32)
    start = 0
    for group, count in enumerate(lengths):
        means[group] = vectors[start : start + count].sum(axis=0, dtype=np.float64) / count
        start += count
    return means


def stack(vectors: pl.Series) -> np.ndarray:
    """float32 [N, D] from a non-empty list column whose lists are equally long."""
    width = len(vectors[0])
    return vectors.explode().to_numpy().reshape(len(vectors), width)


def sound(vectors: pl.Series) -> pl.Series:
    """For each row of a list column whether it has elements and all of them are finite; bool, never null."""
    lengths = vectors.list.len().fill_null(0).to_numpy().astype(np.int64)
    filled = lengths > 0
    answer = np.zeros(len(vectors), dtype=bool)
    if filled.any():
        finite = np.isfinite(vectors.filter(pl.Series(filled)).explode().to_numpy())
        starts = np.cumsum(lengths[filled]) - lengths[filled]
        answer[filled] = np.logical_and.reduceat(finite, starts)
    return pl.Series("sound", answer)


def _pool(
    frame: pl.DataFrame, keys: list[str], *, inner: str, schema: pl.Schema, columns: list[pl.Expr]
) -> pl.DataFrame:
    if frame.is_empty():
        return pl.DataFrame(schema=schema)
    pooled = []
    # Routes one by one: their encoders may differ in width.
    for (route,), part in frame.sort("route", *keys, inner).group_by("route", maintain_order=True):
        groups = part.group_by(keys, maintain_order=True).agg(
            pl.col("batch_key", "patient_key", *VERSIONS).first(),
            pl.struct(*VERSIONS).n_unique().alias("_versions"),
            pl.len().alias("_rows"),
            *columns,
        )
        mixed = groups.filter(pl.col("_versions") > 1).height
        if mixed:
            raise MixedVersionsError(
                f"{mixed} groups of route {route!r} mix vectors of two models or preprocessings: {AGAIN}"
            )
        if unsound := part.height - int(sound(part["vector"]).sum()):
            raise EmbeddingError(
                f"{unsound} vectors of route {route!r} are missing, empty or not finite: {AGAIN}"
            )
        widths = part["vector"].list.len().unique().to_list()
        if len(widths) != 1:
            raise MixedVersionsError(f"vectors of route {route!r} have several lengths: {sorted(widths)}")
        means = group_means(stack(part["vector"]), groups["_rows"].to_numpy())
        pooled.append(groups.with_columns(as_lists(means)).select(*schema))
    return pl.concat(pooled).sort(keys)


def as_lists(vectors: np.ndarray) -> pl.Series:
    """The ``vector`` column List(Float32) of float32 [N, D], without a Python object for any element."""
    return pl.Series("vector", vectors.reshape(len(vectors), -1)).cast(pl.List(pl.Float32))
