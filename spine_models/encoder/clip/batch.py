"""Batches of studies as tensors.

Belongs here: padding and masks, which studies form which batch. Does not belong here: tables, networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spine_models.encoder.clip.data import RouteSlices
from spine_models.encoder.clip.text import ReportTokens, batch_reports


class ClipItem(NamedTuple):
    """A study ready for batching: its report is chunks of token ids, a frozen model's vector, or None."""

    routes: Mapping[str, RouteSlices]
    report: list[list[int]] | Tensor | None


class Bag(NamedTuple):
    """One route of B studies, as the pooler takes it; a study without the route has no slice in its row."""

    vectors: Tensor  # [B, S, D] float32
    mask: Tensor  # [B, S] bool
    series: Tensor  # [B, S] int64
    kind: Tensor  # [B, S] int64


class ReportVectors(NamedTuple):
    """Vectors [B, D] of a frozen text model and present [B] bool."""

    vectors: Tensor
    present: Tensor

    def to(self, device: torch.device) -> ReportVectors:
        """The same on a device."""
        return ReportVectors(*(part.to(device) for part in self))


class ClipBatch(NamedTuple):
    """Bags by route, and reports where the variant reads them."""

    bags: dict[str, Bag]
    reports: ReportTokens | ReportVectors | None

    def to(self, device: torch.device) -> ClipBatch:
        """The same on a device."""
        bags = {route: Bag(*(part.to(device) for part in bag)) for route, bag in self.bags.items()}
        return ClipBatch(bags, None if self.reports is None else self.reports.to(device))


def collate(
    items: Sequence[ClipItem], dims: Mapping[str, int], *, pad: int | None, text_dim: int | None
) -> ClipBatch:
    """Items as one batch.

    Args:
        items: at least one.
        dims: length of a slice vector by route; a bag is made for each of them.
        pad: padding token where reports are chunks of tokens.
        text_dim: length of a report's vector where they are vectors. With neither, reports are left out.
    """
    bags = {route: route_bag([item.routes.get(route) for item in items], dim) for route, dim in dims.items()}
    if text_dim is not None:
        rows = [item.report if isinstance(item.report, Tensor) else None for item in items]
        vectors = torch.stack([torch.zeros(text_dim) if row is None else row for row in rows])
        return ClipBatch(bags, ReportVectors(vectors, torch.tensor([row is not None for row in rows])))
    if pad is not None:
        chunks = [item.report if isinstance(item.report, list) else [] for item in items]
        return ClipBatch(bags, batch_reports(chunks, pad))
    return ClipBatch(bags, None)


def route_bag(rows: Sequence[RouteSlices | None], dim: int) -> Bag:
    """Slice vectors of length ``dim`` of B studies padded to the longest; None has no slice."""
    longest = max((len(row.series) for row in rows if row is not None), default=0) or 1
    vectors = np.zeros((len(rows), longest, dim), dtype=np.float32)
    series, kind = (np.zeros((len(rows), longest), dtype=np.int64) for _ in range(2))
    mask = np.zeros((len(rows), longest), dtype=bool)
    for b, row in enumerate(rows):
        if row is not None:
            n = len(row.series)
            vectors[b, :n], series[b, :n], kind[b, :n], mask[b, :n] = row.vectors, row.series, row.kind, True
    return Bag(*(torch.from_numpy(array) for array in (vectors, mask, series, kind)))


def batch_sizes(n_studies: int, batch_size: int, world: int) -> tuple[int, int]:
    """Studies of a rank in one step, and steps of an epoch: whole batches only, the rest waits for another epoch."""
    own = min(batch_size, n_studies // world)
    return own, n_studies // (own * world) if own else 0


def batch_indices(n_studies: int, own: int, *, step: int, seed: int, rank: int, world: int) -> list[int]:
    """Studies of a rank at a step (from 0): a fresh order every epoch, known from the step alone.

    The union over ranks depends on ``own * world`` alone.
    """
    joined = own * world
    epoch, index = divmod(step, n_studies // joined)
    order = np.random.default_rng([seed, epoch]).permutation(n_studies)
    start = index * joined + rank * own
    return order[start : start + own].tolist()
