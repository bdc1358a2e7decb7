"""What a person sees of an asset in the Dagster UI: schemas, counts, small tables, plots and contact sheets.

Belongs here: turning frames and arrays into Dagster metadata. Does not belong here: anything of the restricted
zone but counts; a picture or a preview is only ever made of de-identified data.
"""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from pipelines.runtime.io_managers import SCHEMA_KEY, describe
from pipelines.runtime.storage import content_version

KINDS_OF_TABLE = {"polars", "parquet"}


def group_of(layer: str, stage: str) -> str:
    """Dagster group ``<layer>_<stage>``; the warehouse is a layer of its own."""
    return stage if layer == stage else f"{layer}_{stage}"


def table_out(
    key: Sequence[str], schema: pl.Schema, description: str, *, code_version: str = "1", layer: str
) -> dg.AssetOut:
    """A frame of a declared schema as an asset output."""
    return dg.AssetOut(
        key=list(key),
        description=description,
        dagster_type=pl.DataFrame,
        group_name=group_of(layer, key[0]),
        code_version=code_version,
        kinds=KINDS_OF_TABLE,
        is_required=True,
        metadata={
            SCHEMA_KEY: dg.JsonMetadataValue(describe(schema)),
            "dagster/column_schema": dg.TableSchema(
                columns=[dg.TableColumn(name, str(dtype)) for name, dtype in schema.items()]
            ),
        },
    )


def artifact_out(
    key: Sequence[str], description: str, *, kinds: set[str], code_version: str = "1", layer: str
) -> dg.AssetOut:
    """A folder of the artifact store as an asset output."""
    return dg.AssetOut(
        key=list(key),
        description=description,
        dagster_type=dg.Nothing,
        group_name=group_of(layer, key[0]),
        code_version=code_version,
        kinds=kinds,
        is_required=True,
    )


def table_result(key: Sequence[str], frame: pl.DataFrame, **metadata: Any) -> dg.MaterializeResult:
    """A frame with its content hash as data version, so that equal content leaves downstream fresh."""
    return dg.MaterializeResult(
        asset_key=list(key),
        value=frame,
        metadata=metadata,
        data_version=dg.DataVersion(content_version(frame)),
    )


def artifact_result(key: Sequence[str], version: str, **metadata: Any) -> dg.MaterializeResult:
    """An artifact with its folder's content hash as data version."""
    return dg.MaterializeResult(
        asset_key=list(key), metadata={"version": version, **metadata}, data_version=dg.DataVersion(version)
    )


def counts(frame: pl.DataFrame, column: str, *, weight: str | None = None) -> dg.MarkdownMetadataValue:
    """How often each value of a column occurs, or the sum of ``weight`` by it, as a Markdown table."""
    number = pl.len() if weight is None else pl.col(weight).sum()
    rows = frame.group_by(column).agg(n=number).sort("n", column, descending=[True, False], nulls_last=True)
    return markdown(rows.rename({"n": "count"}))


def markdown(frame: pl.DataFrame, rows: int = 40) -> dg.MarkdownMetadataValue:
    """The first rows of a small frame as a Markdown table; floats to three places."""

    def cell(value: object) -> str:
        if value is None:
            return "–"
        return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "\\|")

    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "---|" * frame.width]
    lines += ["| " + " | ".join(cell(v) for v in row) + " |" for row in frame.head(rows).rows()]
    return dg.MetadataValue.md("\n".join(lines))


def curve_plot(
    curves: pl.DataFrame, columns: Sequence[str], bounds: Mapping[str, float] | None = None
) -> dg.MarkdownMetadataValue:
    """Columns of a training curve over ``step``, one small panel each; ``bounds`` draws a dashed line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(columns), 2.4), layout="constrained")
    for axis, column in zip(np.atleast_1d(figure.subplots(1, len(columns))), columns, strict=True):
        known = curves.filter(pl.col(column).is_not_null())
        axis.plot(known["step"].to_numpy(), known[column].to_numpy(), linewidth=1.2)
        if bounds and column in bounds:
            axis.axhline(bounds[column], linestyle="--", linewidth=0.8, color="grey")
        axis.set_title(column, fontsize=9)
        axis.tick_params(labelsize=7)
    return png_of(figure)


def interval_plot(
    rows: pl.DataFrame, label: str, value: str, low: str, high: str, colour: str
) -> dg.MarkdownMetadataValue:
    """Values with intervals by label, one colour per group; for AUROC tables."""
    from matplotlib.figure import Figure

    groups = rows[colour].unique(maintain_order=True).to_list()
    labels = rows[label].unique(maintain_order=True).to_list()
    figure = Figure(figsize=(7, 0.34 * len(labels) + 1.2), layout="constrained")
    axis = figure.subplots()
    for offset, group in enumerate(groups):
        part = rows.filter((pl.col(colour) == group) & pl.col(value).is_not_null())
        y = np.array([labels.index(item) for item in part[label]]) + 0.8 * (offset + 0.5) / len(groups) - 0.4
        x = part[value].to_numpy()
        error = np.vstack([x - part[low].to_numpy(), part[high].to_numpy() - x]).clip(min=0)
        axis.errorbar(x, y, xerr=error, fmt="o", markersize=3, linewidth=0.8, label=group)
    axis.axvline(0.5, linestyle="--", linewidth=0.8, color="grey")
    axis.set_yticks(range(len(labels)), labels, fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel(value, fontsize=8)
    axis.legend(fontsize=7, loc="lower right")
    return png_of(figure)


def contact_sheet(images: Sequence[np.ndarray], columns: int = 8) -> dg.MarkdownMetadataValue:
    """De-identified slices side by side.

    Args:
        images: uint16 arrays [S, S] of one size.
        columns: images per row.
    """
    if not images:
        return dg.MetadataValue.md("no slices")
    size = images[0].shape[0]
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * size, min(columns, len(images)) * size), np.uint8)
    for n, image in enumerate(images):
        y, x = divmod(n, columns)
        sheet[y * size : (y + 1) * size, x * size : (x + 1) * size] = image >> 8
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG")
    return _data_uri(buffer.getvalue())


def labelled_sheet(images: Mapping[tuple[str, str], np.ndarray]) -> dg.MarkdownMetadataValue:
    """A grid of de-identified slices with named rows and columns; a missing pair stays empty.

    Args:
        images: (row, column) to uint16 [S, S] of any one size.
    """
    if not images:
        return dg.MetadataValue.md("no slices")
    from matplotlib.figure import Figure

    rows, columns = (sorted({pair[i] for pair in images}) for i in (0, 1))
    figure = Figure(figsize=(1.35 * len(columns) + 0.5, 1.35 * len(rows) + 0.3), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for (y, row), (x, column) in itertools.product(enumerate(rows), enumerate(columns)):
        axis = axes[y][x]
        axis.set_xticks([])
        axis.set_yticks([])
        if (row, column) in images:
            axis.imshow(images[row, column], cmap="gray", vmin=0, vmax=65535)
        else:
            axis.set_facecolor("0.95")
        if y == 0:
            axis.set_title(column, fontsize=8)
        if x == 0:
            axis.set_ylabel(row, fontsize=8)
    return png_of(figure, dpi=72)


def png_of(figure: Any, dpi: int = 100) -> dg.MarkdownMetadataValue:
    """A matplotlib figure as an image inside Markdown."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return _data_uri(buffer.getvalue())


def _data_uri(png: bytes) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md(f"![](data:image/png;base64,{base64.b64encode(png).decode()})")
