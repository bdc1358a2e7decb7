"""Slice vectors by study, on disk: what attention reads without holding a lake in memory.

Vectors arrive batch by batch, are thinned to a limit a study, and lie in one mapped file a route; memory holds one
batch and the slices that are asked for.

Belongs here: thinning, storing, handing out. Does not belong here: networks and training (``mil``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from spine_models.findings.embeddings.pooling import stack
from spine_models.findings.embeddings.versions import Table, Versions, one_version
from spine_models.findings.probes.studies import EMBED_AGAIN, ProbeInputError

KEYS = ["study_key", "series_key", "slice_key", "route"]
ORDER = "slice_index"


@dataclass(frozen=True)
class Bag:
    """Slices of some studies, by route: vectors float32 [n, D] and the place of each slice's study, int64 [n]."""

    size: int
    vectors: dict[str, Tensor]
    member: dict[str, Tensor]


@dataclass(frozen=True)
class Bags:
    """Studies with at least one slice.

    Attributes:
        study_keys: [N], sorted.
        vectors: by route a mapped float32 [n, D], slices of a study side by side.
        ends: by route int64 [N, 2], the rows of each study.
        slices: study_key, series_key, slice_key, route in the rows' order, routes one after the other.
        versions: by route the one encoder that made its vectors, as far as the frames name it.
    """

    study_keys: np.ndarray
    vectors: dict[str, np.ndarray]
    ends: dict[str, np.ndarray]
    slices: pl.DataFrame
    versions: Versions

    def take(self, studies: Sequence[int] | np.ndarray, routes: Sequence[str]) -> Bag:
        """The slices of these studies (rows of ``study_keys``) on these routes."""
        vectors, member = {}, {}
        for route in routes:
            if route not in self.vectors:
                continue
            held = self.vectors[route]
            ends = self.ends[route][np.asarray(studies, dtype=np.int64)]
            parts = [held[start:end] for start, end in ends]
            vectors[route] = torch.from_numpy(
                np.concatenate([np.zeros((0, held.shape[1]), np.float32), *parts])
            )
            member[route] = torch.from_numpy(np.repeat(np.arange(len(ends)), ends[:, 1] - ends[:, 0]))
        return Bag(len(studies), vectors, member)

    def having(self, routes: Sequence[str]) -> np.ndarray:
        """Rows of the studies with a slice on any of these routes."""
        counts = [self.ends[route] @ np.array([-1, 1]) for route in routes if route in self.ends]
        return np.flatnonzero(np.sum(counts, axis=0) > 0) if counts else np.empty(0, dtype=np.int64)


def collect(
    batches: Iterable[pl.DataFrame], *, limit: int, folder: Path, studies: Sequence[str] | None = None
) -> Bags:
    """Thin and store slice vectors.

    Args:
        batches: embeddings.SLICES, a frame at a time, with slice_index (``in_order``) where slices are to be spread
            over their series; a study's rows lie in one frame.
        limit: most slices of a study, dealt evenly over its series (``thinned``).
        folder: where the mapped files go; must live as long as the bags.
        studies: the only ones to keep, or None for all.

    Raises:
        ProbeInputError: a vector that is not finite, vectors of one route of several lengths or of two models or
            preprocessings (of whichever frames and studies), or a study in two frames.
    """
    versions: Versions = {}
    widths: dict[str, int] = {}
    written: dict[str, int] = {}
    index: list[pl.DataFrame] = []
    wanted = None if studies is None else pl.Series(list(studies), dtype=pl.String).implode()
    seen: set[str] = set()
    for batch in batches:
        rows = batch if wanted is None else batch.filter(pl.col("study_key").is_in(wanted))
        enter_versions(rows, versions)
        order = [ORDER] if ORDER in rows.columns else []
        rows = thinned(rows.select(*KEYS, *order, "vector"), limit)
        here = set(rows["study_key"].to_list())
        if here & seen:
            raise ProbeInputError("a study's slices lie in two batches: embed its batches again")
        seen |= here
        for (route,), part in rows.sort("route", *KEYS[:3]).group_by("route", maintain_order=True):
            width = part["vector"].list.len().unique().to_list()
            if width != [widths.setdefault(str(route), width[0])]:
                raise ProbeInputError(f"slice vectors of route {route!r} have several lengths: embed again")
            values = stack(part["vector"])
            if not np.isfinite(values).all():
                raise ProbeInputError(
                    f"slice vectors of route {route!r} hold numbers that are not finite: embed their batch again"
                )
            with (folder / f"{route}.f32").open("ab") as file:
                file.write(np.ascontiguousarray(values, dtype=np.float32).tobytes())
            start = written.get(str(route), 0)
            written[str(route)] = start + len(values)
            index.append(part.select(KEYS).with_columns(row=pl.int_range(start, start + len(values))))
    keys = np.array(sorted(seen), dtype=object)
    slices = (
        pl.concat(index)
        if index
        else pl.DataFrame(schema={**dict.fromkeys(KEYS, pl.String), "row": pl.Int64})
    )
    slices = slices.sort("route", "row")
    vectors, ends = {}, {}
    for route, count in written.items():
        vectors[route] = np.memmap(folder / f"{route}.f32", np.float32, "r", shape=(count, widths[route]))
        ends[route] = np.zeros((len(keys), 2), dtype=np.int64)
        spans = slices.filter(route=route).group_by("study_key").agg(start=pl.col("row").min(), n=pl.len())
        at = np.searchsorted(keys, spans["study_key"].to_numpy())
        ends[route][at, 0] = spans["start"].to_numpy()
        ends[route][at, 1] = spans["start"].to_numpy() + spans["n"].to_numpy()
    return Bags(keys, vectors, ends, slices.select(KEYS), versions)


def bags_of(frame: pl.DataFrame, *, limit: int) -> tuple[Bags, tempfile.TemporaryDirectory]:
    """Bags of one frame and the folder that they live in."""
    folder = tempfile.TemporaryDirectory()
    return collect([frame], limit=limit, folder=Path(folder.name)), folder


def in_order(slices: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
    """embeddings.SLICES with the place of each slice along its series.

    Args:
        slices: of a batch.
        placed: shards.SLICES of the batch (slice_key, slice_index).

    Raises:
        ProbeInputError: a vector whose slice is not in the shards.
    """
    held = slices.join(
        placed.select("slice_key", ORDER).unique("slice_key"),
        on="slice_key",
        how="left",
        maintain_order="left",
    )
    if held[ORDER].null_count():
        raise ProbeInputError(
            "slice vectors of slices that the shards do not hold: materialise the embeddings of their batch again"
        )
    return held


def enter_versions(rows: pl.DataFrame, versions: Versions) -> None:
    """Enter what rows of embeddings.SLICES say of each route's encoder.

    Raises:
        ProbeInputError: they contradict what is entered, or themselves.
    """
    table = Table("embeddings/slices", EMBED_AGAIN, ProbeInputError)
    versions.update(one_version(rows, table, known=versions))


def thinned(rows: pl.DataFrame, limit: int) -> pl.DataFrame:
    """At most ``limit`` slices a study: series in turn give up one of their slices.

    Those that stay of a series are evenly spaced along it where the rows have ``slice_index``. Without it they are
    evenly spaced in the order of slice keys, which are pseudonyms: a fixed draw, spread over nothing.
    """
    sizes = rows.group_by("study_key", "series_key").agg(n=pl.len()).sort("study_key", "series_key")
    shares: list[int] = []
    for (_,), part in sizes.group_by("study_key", maintain_order=True):
        shares += _dealt(part["n"].to_list(), limit)
    sizes = sizes.with_columns(share=pl.Series(shares, dtype=pl.Int64))
    by = [ORDER, "slice_key"] if ORDER in rows.columns else ["slice_key"]
    held = rows.sort("study_key", "series_key", *by).join(
        sizes, on=["study_key", "series_key"], how="left", maintain_order="left"
    )
    held = held.with_columns(place=pl.int_range(pl.len()).over("study_key", "series_key"))
    # Slice i of n is kept where (i + 1) * share / n passes a whole number that i * share / n has not.
    kept = (pl.col("place") + 1) * pl.col("share") // pl.col("n") > pl.col("place") * pl.col(
        "share"
    ) // pl.col("n")
    return held.filter(kept).select(rows.columns)


def _dealt(counts: Sequence[int], limit: int) -> list[int]:
    """How many slices each series keeps: equal shares, what a short series leaves goes to the longer ones."""
    shares = [0] * len(counts)
    left = min(limit, sum(counts))
    while left:
        open_ = [n for n, count in enumerate(counts) if shares[n] < count]
        each = max(1, left // len(open_))
        for n in open_:
            given = min(each, counts[n] - shares[n], left)
            shares[n] += given
            left -= given
    return shares
