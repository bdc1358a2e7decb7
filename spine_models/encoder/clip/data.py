"""Studies as the alignment sees them: some slice vectors a route, and a report.

Belongs here: from tables to studies, and which slices of a long study are kept. Does not belong here: tensors and
batches (``batch``), who is in which split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from spine_models.domain import Plane
from spine_models.encoder.clip.variants import ROUTES

KINDS = tuple(plane.value for plane in Plane)
"""Kinds of series that the pooler tells apart, in the order of their numbers."""

_VERSIONS = ("encoder", "model_version", "preprocessing_version")


class ClipDataError(ValueError):
    """Studies that cannot be aligned; the message names the remedy."""


@dataclass(frozen=True)
class RouteSlices:
    """Slices of one route of one study.

    Attributes:
        vectors: [S, D] float32; may be a view of a file.
        series: [S] int64, number of the series within the study, ascending.
        kind: [S] int64 of KINDS.
        digest: hash of what the vectors were made from, which says that they are equal without reading them; None
            where only the vectors themselves can say so.
    """

    vectors: np.ndarray
    series: np.ndarray
    kind: np.ndarray
    digest: str | None = None


@dataclass(frozen=True)
class ClipStudy:
    """A route that the study lacks is not in ``routes``; a study without a report has an empty text."""

    study_key: str
    patient_key: str
    routes: Mapping[str, RouteSlices]
    report: str


def choose_slices(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Which slices of each series are kept so that a study has at most ``most``.

    Every series gets as many as the others, or all that it has; within a series they are evenly spaced. With more
    series than ``most`` the last series get none.

    Args:
        lengths: slices of each series.
        most: of the study.

    Returns:
        Ascending indices for each series.
    """
    quotas = [0] * len(lengths)
    left = min(most, sum(lengths))
    while left:
        for i, length in enumerate(lengths):
            if left and quotas[i] < length:
                quotas[i] += 1
                left -= 1
    return [
        [(2 * j + 1) * length // (2 * quota) for j in range(quota)]
        for length, quota in zip(lengths, quotas, strict=True)
    ]


def clip_studies(slices: pl.DataFrame, reports: pl.DataFrame, *, max_slices: int) -> list[ClipStudy]:
    """Studies of a table that holds its vectors, in key order; routes beside T1 and T2 are left out.

    The studies hold their vectors in memory; ``vectors.stored_studies`` has them in a file.

    Args:
        slices: patient_key, study_key, series_key, slice_key, route, plane, vector (the embeddings' slice table).
        reports: study_key and report_text; one row a study at most.
        max_slices: of one route of one study.

    Raises:
        ClipDataError: two reports of one study, or vectors of one route of several lengths.
    """
    texts = report_texts(reports)
    found: dict[str, tuple[str, dict[str, RouteSlices]]] = {}
    rows = slices.filter(pl.col("route").is_in(ROUTES)).sort("study_key", "route", "series_key", "slice_key")
    for (route,), of_route in rows.group_by("route", maintain_order=True):
        if of_route["vector"].list.len().n_unique() > 1:
            raise ClipDataError(f"slice vectors of route {route!r} have several lengths: embed them again")
    for (study_key, route), part in rows.group_by(["study_key", "route"], maintain_order=True):
        lengths = part.group_by("series_key", maintain_order=True).len()["len"].to_list()
        starts = np.cumsum([0, *lengths[:-1]])
        chosen = choose_slices(lengths, max_slices)
        index = [int(start) + i for start, own in zip(starts, chosen, strict=True) for i in own]
        _, routes = found.setdefault(str(study_key), (part["patient_key"][0], {}))
        routes[str(route)] = RouteSlices(
            vectors=np.stack(part["vector"].gather(index).to_list()).astype(np.float32),
            series=np.repeat(np.arange(len(chosen)), [len(own) for own in chosen]),
            kind=np.array([kind_of(plane) for plane in part["plane"].gather(index)], dtype=np.int64),
        )
    return [
        ClipStudy(key, patient, routes, texts.get(key) or "")
        for key, (patient, routes) in sorted(found.items())
    ]


def encoder_versions(slices: pl.DataFrame) -> dict[str, dict[str, str]]:
    """Encoder, model and preprocessing version of each route: the parents that a card names.

    Raises:
        ClipDataError: vectors of two versions in one route.
    """
    versions: dict[str, dict[str, str]] = {}
    for row in slices.filter(pl.col("route").is_in(ROUTES)).select("route", *_VERSIONS).unique().to_dicts():
        if row["route"] in versions:
            raise ClipDataError(
                f"vectors of route {row['route']!r} are of several encoders or preprocessings: embed them again"
            )
        versions[row["route"]] = {name: row[name] for name in _VERSIONS}
    return dict(sorted(versions.items()))


def report_texts(reports: pl.DataFrame) -> dict[str, str | None]:
    """Study key to report text, of a table with study_key and report_text.

    Raises:
        ClipDataError: two reports of one study.
    """
    if reports["study_key"].is_duplicated().any():
        raise ClipDataError("a study has two reports: give the one that the labels use")
    return dict(reports.select("study_key", "report_text").iter_rows())


def kind_of(plane: str | None) -> int:
    """Number of a plane among KINDS."""
    return KINDS.index(plane if plane in KINDS else Plane.UNKNOWN.value)
