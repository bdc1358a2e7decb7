"""Versions of encoders and preprocessing: read from tables, held against what heads were fitted on.

Heads are numbers about the vectors of one encoder on slices of one preprocessing; on any others they answer all the
same, and wrongly.

Belongs here: what heads were fitted on, and refusals. Does not belong here: one version a route
(``embeddings.versions``), versions of heads and models themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from spine_models.findings.embeddings.versions import Table, one_version
from spine_models.findings.localization.tokens import LocalizationError

NAMES: Final = {"model_version": "encoder", "preprocessing_version": "preprocessing"}

EMBEDDED: Final = Table(
    "embeddings/slices", "materialise shards and embeddings of every batch again", LocalizationError
)


def versions_of(rows: pl.DataFrame, column: str) -> dict[str, str]:
    """The version in ``column`` of embeddings.SLICES by route.

    Raises:
        LocalizationError: two in one route, as ``one_version`` says it.
    """
    found = one_version(rows, EMBEDDED, columns=(column,))
    return {route: told[column] for route, told in found.items()}


def check_versions(
    rows: pl.DataFrame,
    encoders: Mapping[str, str],
    preprocessing: Mapping[str, str],
    *,
    by: str,
    remedy: str,
) -> None:
    """Refuse rows of other versions than heads were fitted on.

    Args:
        rows: route with model_version and preprocessing_version, or one of them.
        encoders: wanted encoder version by route; a route that is not in it is not compared.
        preprocessing: wanted preprocessing version by route, the same way.
        by: whose heads, with its verb, for the message.
        remedy: for the message.

    Raises:
        LocalizationError: another version, or two in one route; names the route and both.
    """
    for column, wanted in (("model_version", encoders), ("preprocessing_version", preprocessing)):
        if column not in rows.columns:
            continue
        for route, version in versions_of(rows, column).items():
            mine = wanted.get(route)
            if mine is not None and mine != version:
                raise LocalizationError(
                    f"{by} fitted on {NAMES[column]} {mine} of route {route!r}, asked with {version}: {remedy}"
                )


def check_same_preprocessing(slices: pl.DataFrame, vectors: pl.DataFrame) -> None:
    """Refuse vectors that were made of other pixels than the shards now hold.

    Args:
        slices: shards.SLICES.
        vectors: embeddings.SLICES; those of other slices are not compared.

    Raises:
        LocalizationError: says how many.
    """
    columns = ["slice_key", "preprocessing_version"]
    pairs = vectors.select(columns).join(slices.select(columns), on="slice_key", how="inner", suffix="_shard")
    stale = pairs.filter(pl.col("preprocessing_version").ne_missing(pl.col("preprocessing_version_shard")))
    if stale.height:
        raise LocalizationError(
            f"{stale.height} slice vectors are of another preprocessing than their shards: materialise the "
            "embeddings again"
        )
