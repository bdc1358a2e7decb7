"""A study's images as the report model takes them: chosen slice vectors, and what is known of each.

Belongs here: from tables to studies, which slices of a long study are kept, where a slice lies. Does not belong here:
tensors and batches (``projector``), who may be trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from spine_models.domain import Contrast, Plane, Route
from spine_models.encoder.clip.data import choose_slices, kind_of

ROUTES: Final = tuple(route.value for route in Route)
PLANES: Final = tuple(plane.value for plane in Plane)
CONTRASTS: Final = tuple(contrast.value for contrast in Contrast)
"""Their numbers are their places here, in files that are kept: only ever append."""

_KEPT: Final = ("study_key", "series_key", "slice_key", "route", "plane", "vector")
_PLACED: Final = (
    "slice_key",
    "slice_index",
    "contrast",
    "iop",
    "output_ipp_mm",
    "output_spacing_mm",
    "size_px",
)


class LlavaDataError(ValueError):
    """Tables that do not belong together; the message names the remedy."""


@dataclass(frozen=True)
class StudyImages:
    """Chosen slices of one study, in the order of their series and, within one, along it; N is at least 1.

    Attributes:
        vectors: [N, D] float32.
        route: [N] int64 of ROUTES.
        plane: [N] int64 of PLANES.
        contrast: [N] int64 of CONTRASTS.
        series: [N] int64, number of the series within the study, from 0.
        position: [N] float32 in (0, 1), where the slice lies among all slices of its series: the middle one has 0.5.
            Where the geometry is known it rises towards the patient's left, back or head, however the series was
            stored, so that a sagittal slice's side can be told.
        offset_mm: [N] float32, from the middle of the study (median of the chosen slices' centres) along the slice
            normal, positive as ``position`` rises; NaN where the slice has no place in the patient.
        slice_keys: [N], whose vectors these are.
    """

    vectors: np.ndarray
    route: np.ndarray
    plane: np.ndarray
    contrast: np.ndarray
    series: np.ndarray
    position: np.ndarray
    offset_mm: np.ndarray
    slice_keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.route)


def study_images(slices: pl.DataFrame, vectors: pl.DataFrame, *, max_slices: int) -> dict[str, StudyImages]:
    """Images of every study that has a slice vector; a study without one is not in the answer.

    Of a long study ``choose`` says which slices are kept. A batch's tables at a time keep memory small: an answer
    depends on its own study's rows alone.

    Args:
        slices: ``shards.SLICES`` with a row for every vector.
        vectors: ``embeddings.SLICES``.
        max_slices: of one study, at least one for each route.

    Raises:
        LlavaDataError: a vector whose slice is not in ``slices``, vectors of several lengths, of several encoders in
            one route, or two for one slice.
        ValueError: ``max_slices`` is below the number of routes.
    """
    if max_slices < len(ROUTES):
        raise ValueError(f"max_slices is {max_slices}: no route may be dropped, give at least {len(ROUTES)}")
    _check(vectors)
    rows = vectors.select(_KEPT).join(slices.select(_PLACED), on="slice_key", how="left", validate="m:1")
    if lost := rows["slice_index"].null_count():
        raise LlavaDataError(f"{lost} slice vectors have no slice in the index: embed the batch again")
    rows = _along_series(rows).sort("study_key", *_SERIES_ORDER, "series_key", "along", "slice_key")
    return {
        str(study_key): _one(own, max_slices)
        for (study_key,), own in rows.group_by(["study_key"], maintain_order=True)
    }


_SERIES_ORDER: Final = ("route_no", "plane_no", "contrast_no")


def choose(series: Sequence[tuple[int, int]], lengths: Sequence[int], most: int) -> list[list[int]]:
    """Which slices of each series are kept so that the study has at most ``most``.

    Every route gets as many as the others or all that it has. Within a route the first series of every plane come
    before second ones, and each gets as many as the others or all that it has; within a series they are evenly
    spaced. So a plane is lost only to a route with fewer places than planes, and a series only to one with fewer
    places than series.

    Args:
        series: (route, plane) of each series.
        lengths: slices of each series, each at least 1.
        most: of the study, at least the number of routes in it.

    Returns:
        Ascending indices for each series.
    """
    routes = sorted({route for route, _ in series})
    totals = [sum(n for (r, _), n in zip(series, lengths, strict=True) if r == route) for route in routes]
    kept: list[list[int]] = [[] for _ in series]
    for route, share in zip(routes, choose_slices(totals, most), strict=True):
        turns = sorted((i for i, (r, _) in enumerate(series) if r == route), key=_turn(series))
        for i, own in zip(turns, choose_slices([lengths[i] for i in turns], len(share)), strict=True):
            kept[i] = own
    return kept


def _turn(series: Sequence[tuple[int, int]]):
    """Sort key of a series: how many of its route and plane come before it, then its own number."""
    return lambda i: (series[:i].count(series[i]), i)


def _check(vectors: pl.DataFrame) -> None:
    if vectors["vector"].list.len().n_unique() > 1:
        raise LlavaDataError(
            "slice vectors have several lengths: the report model takes encoders of one width; embed again"
        )
    made = vectors.select("route", "encoder", "model_version", "preprocessing_version").unique()
    if made["route"].is_duplicated().any():
        route = made.filter(made["route"].is_duplicated())["route"].min()
        raise LlavaDataError(f"slice vectors of route {route!r} are of several encoders: embed them again")
    if vectors["slice_key"].is_duplicated().any():
        raise LlavaDataError("a slice has two vectors: embed the batch again")


def _along_series(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with their numbers, unit normal, centre, and ``along``, what slices of a series are ordered by."""
    normal, centre = _geometry(rows)
    known = np.isfinite(centre).all(axis=1)
    rows = rows.with_columns(
        route_no=rows["route"].replace_strict({n: i for i, n in enumerate(ROUTES)}, return_dtype=pl.Int64),
        plane_no=pl.Series([kind_of(p) for p in rows["plane"]], dtype=pl.Int64),
        contrast_no=pl.Series([_contrast(c) for c in rows["contrast"]], dtype=pl.Int64),
        normal=pl.Series(normal, dtype=pl.Array(pl.Float64, 3)),
        centre=pl.Series(centre, dtype=pl.Array(pl.Float64, 3)),
        place_mm=np.where(known, (normal * centre).sum(axis=1), np.nan),
        known=known,
    )
    # A series with one slice of unknown place is ordered as it was stored, whole.
    whole = pl.col("known").all().over("study_key", "series_key")
    return rows.with_columns(
        along=pl.when(whole).then("place_mm").otherwise(pl.col("slice_index").cast(pl.Float64))
    )


def _geometry(rows: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals and centres [N, 3], LPS mm, of the slices; NaN where they are not known.

    A normal points to where its largest component is positive: left, back or head.
    """
    iop = _matrix(rows["iop"], 6)
    corner = _matrix(rows["output_ipp_mm"], 3)
    across, down = iop[:, :3], iop[:, 3:]
    half = (rows["size_px"].cast(pl.Float64).to_numpy() - 1) / 2 * rows["output_spacing_mm"].to_numpy()
    normal = np.cross(across, down)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.divide(normal, length, out=np.full_like(normal, np.nan), where=length > 1e-6)
    largest = np.take_along_axis(normal, np.abs(normal).argmax(axis=1)[:, None], axis=1)
    centre = corner + (across + down) * half[:, None]
    return normal * np.where(largest < 0, -1.0, 1.0), np.where(np.isfinite(normal), centre, np.nan)


def _matrix(lists: pl.Series, width: int) -> np.ndarray:
    rows = [row if row is not None and len(row) == width else [None] * width for row in lists.to_list()]
    return np.array(rows, dtype=np.float64).reshape(-1, width)


def _contrast(contrast: str | None) -> int:
    return CONTRASTS.index(contrast if contrast in CONTRASTS else Contrast.OTHER.value)


def _one(rows: pl.DataFrame, max_slices: int) -> StudyImages:
    """Images of one study, of its rows in order."""
    groups = rows.group_by(["series_key"], maintain_order=True).agg(
        pl.first("route_no"), pl.first("plane_no"), pl.len().alias("n")
    )
    kinds = list(groups.select("route_no", "plane_no").iter_rows())
    lengths = groups["n"].to_list()
    chosen = choose(kinds, lengths, max_slices)
    starts = np.cumsum([0, *lengths[:-1]])
    index = np.array([int(s) + i for s, own in zip(starts, chosen, strict=True) for i in own], dtype=np.int64)
    position = np.concatenate([(np.arange(n) + 0.5) / n for n in lengths])
    kept = rows[index]
    centre, normal = kept["centre"].to_numpy(), kept["normal"].to_numpy()
    known = kept["known"].to_numpy()
    middle = np.median(centre[known], axis=0) if known.any() else np.zeros(3)
    return StudyImages(
        vectors=kept["vector"].list.to_array(kept["vector"].list.len()[0]).to_numpy().astype(np.float32),
        route=kept["route_no"].to_numpy(),
        plane=kept["plane_no"].to_numpy(),
        contrast=kept["contrast_no"].to_numpy(),
        series=np.repeat(np.arange(len(chosen)), [len(own) for own in chosen]),
        position=position[index].astype(np.float32),
        offset_mm=((centre - middle) * normal).sum(axis=1).astype(np.float32),
        slice_keys=tuple(kept["slice_key"].to_list()),
    )
