"""From slices to series to studies: plain means, each level weighing its members equally.

A series vector is the mean of its slices and a study vector (one per route) is the mean of its series, so
that a series of 200 slices weighs as much as one of 7. A route that a study lacks is a missing row, never a
zero vector.

Belongs here: the two means and the refusal to mix versions. Does not belong here: joining routes
(``probes``), learned pooling.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from spine_models.domain import Plane
from spine_models.findings.embeddings.tables import SERIES, STUDIES

VERSIONS = ["encoder", "model_version", "preprocessing_version"]


class MixedVersionsError(ValueError):
    """Vectors of two models or two preprocessings in one mean; the message says of which route."""


def pool_series(slice_vectors: pl.DataFrame) -> pl.DataFrame:
    """embeddings.SERIES from embeddings.SLICES: mean over slices, summed in float64 in key order.

    A series whose slices lie in several planes (a three-plane localizer) has plane ``unknown``.

    Raises:
        MixedVersionsError: slices of one series and route come from two models or two preprocessings.
    """
    keys = ["study_key", "series_key", "route"]
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
    counts = np.asarray(lengths, dtype=np.int64)
    sums = np.add.reduceat(vectors.astype(np.float64), np.cumsum(counts) - counts, axis=0)
    return (sums / counts[:, None]).astype(np.float32)


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
            pl.struct(VERSIONS).n_unique().alias("_versions"),
            pl.len().alias("_rows"),
            *columns,
        )
        mixed = groups.filter(pl.col("_versions") > 1).height
        if mixed:
            raise MixedVersionsError(
                f"{mixed} groups of route {route!r} mix vectors of two models or preprocessings: "
                "materialise the embeddings of this batch again"
            )
        widths = part["vector"].list.len().unique().to_list()
        if len(widths) != 1:
            raise MixedVersionsError(f"vectors of route {route!r} have several lengths: {sorted(widths)}")
        means = group_means(stack(part["vector"]), groups["_rows"].to_numpy())
        column = pl.Series("vector", means).cast(pl.List(pl.Float32))
        pooled.append(groups.with_columns(column).select(*schema))
    return pl.concat(pooled).sort(keys)


def stack(vectors: pl.Series) -> np.ndarray:
    """float32 [N, D] from a non-empty list column whose lists are equally long."""
    width = len(vectors[0])
    return vectors.explode().to_numpy().reshape(len(vectors), width)
