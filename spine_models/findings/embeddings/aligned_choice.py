"""Which slices stand for a study, what a study's vector was made from, and what an earlier run already has.

Belongs here: the choice, hashes of content, reuse. Does not belong here: any model (``aligned``, ``aligned_series``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from spine_models.domain import Split
from spine_models.encoder.clip.data import RouteSlices, choose_slices, kind_of
from spine_models.findings.embeddings.aligned_tables import ALIGNED, ALIGNED_SLICES
from spine_models.findings.embeddings.pooling import stack

ReadVectors = Callable[[list[str]], pl.DataFrame]
"""embeddings.SLICES rows of the slice keys asked for, of every encoder that has them."""

_CONTENT = ["series_key", "slice_key", "pixel_hash", "preprocessing_version", "plane"]
_SAME_VECTOR = ["study_key", "modality", "encoder", "model_version", "content_hash"]
_SAME_SLICE = ["slice_key", "encoder", "model_version", "pixel_hash"]


class AlignedError(ValueError):
    """Vectors that do not belong together; the message names what and the remedy."""


def chosen_slices(slices: pl.DataFrame, most: int, *, by_route: bool) -> pl.DataFrame:
    """The slices that stand for each study, as the trainings choose them (``clip.data.choose_slices``).

    Slices of other body regions (split outside) are left out, as in the trainings.

    Args:
        slices: shards.SLICES.
        most: slices of a study, or of each route of it.
        by_route: choose within each route and not among all series of the study.

    Returns:
        The chosen rows by study, (route,) series and place, with ``series``: number of the series in its group.
    """
    group = ["study_key", "route"] if by_route else ["study_key"]
    rows = slices.filter(pl.col("split") != Split.OUTSIDE.value)
    rows = rows.sort(*group, "series_key", "slice_index", "slice_key")
    lengths = rows.group_by(*group, "series_key", maintain_order=True).len()
    kept: list[int] = []
    start = 0
    for _, part in lengths.group_by(group, maintain_order=True):
        own = part["len"].to_list()
        for length, indices in zip(own, choose_slices(own, most), strict=True):
            kept += [start + i for i in indices]
            start += length
    number = (pl.col("series_key").rank("dense").over(group) - 1).cast(pl.Int64)
    return rows[kept].with_columns(number.alias("series"))


def content_hashes(rows: pl.DataFrame, group: Sequence[str], *parents: str) -> pl.DataFrame:
    """``group``, patient_key and content_hash of every group of chosen slices.

    Args:
        rows: of ``chosen_slices``.
        group: columns that make a study's vector.
        parents: versions that the slice vectors depend on.
    """
    found = []
    for key, part in rows.group_by(list(group), maintain_order=True):
        said = json.dumps([list(parents), part.select(_CONTENT).rows()])
        found.append((*key, part["patient_key"][0], hashlib.sha256(said.encode()).hexdigest()[:32]))
    columns = [*group, "patient_key", "content_hash"]
    return pl.DataFrame(found, schema=dict.fromkeys(columns, pl.String), orient="row")


class Divided(NamedTuple):
    """Rows that an earlier run already has, and those to be computed, without vectors."""

    kept: pl.DataFrame
    stale: pl.DataFrame


def divided_studies(wanted: pl.DataFrame, previous: pl.DataFrame | None) -> Divided:
    """What of ``wanted`` (ALIGNED without vector) stands in ``previous`` (ALIGNED) with the same content."""
    return _divided(wanted, previous, _SAME_VECTOR, ["study_key", "modality"], ALIGNED)


def divided_slices(rows: pl.DataFrame, encoder: str, version: str, previous: pl.DataFrame | None) -> Divided:
    """The same of ALIGNED_SLICES, for chosen slices and the model that is to read them."""
    named = rows.with_columns(encoder=pl.lit(encoder), model_version=pl.lit(version))
    wanted = named.select([name for name in ALIGNED_SLICES if name != "vector"])
    return _divided(wanted, previous, _SAME_SLICE, ["slice_key"], ALIGNED_SLICES)


def _divided(
    wanted: pl.DataFrame, previous: pl.DataFrame | None, same: list[str], key: list[str], schema: pl.Schema
) -> Divided:
    if previous is None or previous.is_empty() or wanted.is_empty():
        return Divided(pl.DataFrame(schema=schema), wanted)
    held = previous.select(*same, "vector").unique(same, keep="first", maintain_order=True)
    kept = wanted.join(held, on=same, how="inner").select(*schema)
    return Divided(kept, wanted.join(kept, on=key, how="anti"))


def wanted_rows(
    hashes: pl.DataFrame, batch: str, modality: str | None, encoder: str, version: str
) -> pl.DataFrame:
    """ALIGNED without vectors; the modality is the route where None."""
    of = pl.col("route") if modality is None else pl.lit(modality)
    named = hashes.with_columns(
        batch_key=pl.lit(batch), modality=of, encoder=pl.lit(encoder), model_version=pl.lit(version)
    )
    return named.select([name for name in ALIGNED if name != "vector"])


def with_vectors(
    wanted: pl.DataFrame, vectors: Iterable[np.ndarray] | np.ndarray, schema: pl.Schema
) -> pl.DataFrame:
    """``wanted`` with one float32 row each, checked to be unit vectors.

    Raises:
        AlignedError: a vector that is not finite or not of unit length.
    """
    if wanted.is_empty():
        return pl.DataFrame(schema=schema)
    array = np.stack(list(vectors)).astype(np.float32)
    lengths = np.linalg.norm(array.astype(np.float64), axis=1)
    if not (np.abs(lengths - 1) < 1e-3).all():
        raise AlignedError(
            f"{int((~(np.abs(lengths - 1) < 1e-3)).sum())} aligned vectors are not finite or not of unit length: the "
            "alignment's weights are damaged or its training diverged; train it again"
        )
    column = pl.Series("vector", array).cast(pl.List(pl.Float32))
    return wanted.with_columns(column).select(*schema)


def as_routes(rows: pl.DataFrame, vectors: dict[str, np.ndarray]) -> RouteSlices:
    """Chosen slices of one group with their vectors, as the poolers take them."""
    return RouteSlices(
        vectors=np.stack([vectors[key] for key in rows["slice_key"]]),
        series=rows["series"].to_numpy(),
        kind=np.array([kind_of(plane) for plane in rows["plane"]], dtype=np.int64),
    )


def by_key(rows: pl.DataFrame) -> dict[str, np.ndarray]:
    """Vectors float32 [D] by slice key; routes may differ in length."""
    found: dict[str, np.ndarray] = {}
    for _, part in rows.group_by(pl.col("vector").list.len()):
        found.update(zip(part["slice_key"], stack(part["vector"]), strict=True))
    return found


def one_slice(vector: np.ndarray, plane: str | None) -> RouteSlices:
    """A slice as if it were all that a study has."""
    return RouteSlices(vector[None], np.zeros(1, dtype=np.int64), np.array([kind_of(plane)], dtype=np.int64))
