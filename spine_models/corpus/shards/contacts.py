"""Which slices a person is shown: the middle of a series, of every contrast and vendor.

Belongs here: choosing and reading them. Does not belong here: drawing (``pipelines.runtime.metadata``,
``quality_page``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from spine_models.corpus.shards.reader import read_slices


def middle_slices(
    slices: pl.DataFrame, vendors: Mapping[str, str | None], folder: Path
) -> dict[tuple[str, str], np.ndarray]:
    """For every contrast with its plane, and every vendor, the middle slice of the first series that has them.

    Args:
        slices: ``SLICES`` of one batch.
        vendors: series key to scanner vendor.
        folder: the batch's shard folder.

    Returns:
        (``"<contrast> <plane>"``, vendor) to uint16 [S, S].
    """
    chosen = (
        _middles(slices)
        .with_columns(
            vendor=pl.col("series_key").replace_strict(vendors, default=None, return_dtype=pl.String),
            row=pl.format("{} {}", pl.col("contrast").fill_null("abstained"), pl.col("plane")),
        )
        .with_columns(pl.col("vendor").fill_null("unknown"))
        .sort("series_key")
        .group_by("row", "vendor", maintain_order=True)
        .first()
    )
    names = {key: (row, vendor) for key, row, vendor in chosen.select("slice_key", "row", "vendor").rows()}
    tars = [folder / shard for shard in chosen["shard"].unique().sort()]
    return {names[key]: image for key, image in read_slices(tars, names.keys())}


def series_thumbnail(slices: pl.DataFrame, series_key: str, roots: Mapping[str, Path]) -> np.ndarray | None:
    """The middle slice of a series, uint16 [S, S]; None where it has none.

    Args:
        slices: ``SLICES`` of any batches.
        series_key: of the series.
        roots: batch key to its shard folder.
    """
    middle = _middles(slices.filter(series_key=series_key))
    if middle.is_empty() or middle["batch_key"][0] not in roots:
        return None
    tar = roots[middle["batch_key"][0]] / middle["shard"][0]
    return next((image for _, image in read_slices([tar], {middle["slice_key"][0]})), None)


def _middles(slices: pl.DataFrame) -> pl.DataFrame:
    """One row a series: its middle slice."""
    ordered = slices.sort("series_key", "slice_index", "slice_key")
    return ordered.group_by("series_key", maintain_order=True).agg(
        pl.col("batch_key", "contrast", "plane", "shard", "slice_key").get(pl.len() // 2)
    )
