"""Which images a diagnosis rests on: the series behind a study vector and their central slices.

Belongs here: from a sequence set to series, instances and a digest of every slice that went in.
Does not belong here: deciding a status (``diagnosis``) or pooling vectors (``findings.embeddings``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from spine_models.domain import Route

ROUTES_OF_SET: Final[Mapping[str, tuple[Route, ...]]] = {
    "t1": (Route.T1,),
    "t2": (Route.T2,),
    "other": (Route.OTHER,),
    "all": (Route.T1, Route.T2, Route.OTHER),
}
"""Routes whose study vectors a head of this sequence set reads; of ``all`` those that the study has."""


@dataclass(frozen=True)
class Evidence:
    """Series and instances behind a claim; ``digest`` covers all slices, not the named instances alone."""

    source_series: tuple[str, ...]
    source_instances: tuple[str, ...]
    digest: str


def digest(*parts: object) -> str:
    """32 hex digits of the SHA-256 of ``parts`` written as JSON; stable across processes and platforms."""
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def central(keys: list[str], count: int) -> list[str]:
    """The middle ``count`` of ``keys`` in their order; the earlier half where the middle is even."""
    start = max(0, (len(keys) - count) // 2)
    return keys[start : start + count]


def evidence(slices: pl.DataFrame, sequence_set: str, *, slices_per_series: int) -> Evidence:
    """Evidence for a head of ``sequence_set`` from the ``shards.SLICES`` rows of one study.

    Per series of the set's routes, the instances of the ``slices_per_series`` central slices, in slice order;
    several frames of one multi-frame instance are named once.
    """
    rows = slices.filter(pl.col("route").is_in([str(route) for route in ROUTES_OF_SET[sequence_set]]))
    rows = rows.sort("series_key", "slice_index", "slice_key")
    instances: list[str] = []
    series: list[str] = []
    for (series_key,), members in rows.group_by("series_key", maintain_order=True):
        series.append(str(series_key))
        instances.extend(central(members["instance_key"].to_list(), slices_per_series))
    content = rows.select("slice_key", "pixel_hash", "preprocessing_version").rows()
    return Evidence(tuple(series), tuple(_unique(instances)), digest(content))


def _unique(keys: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(keys))
