"""Pictures of localization: predicted and annotated boxes, levels on a sagittal slice.

Belongs here: drawing. Does not belong here: which boxes are right (``spine_models.findings.localization``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from pipelines.runtime.metadata import png_of

if TYPE_CHECKING:
    from spine_models.findings.localization.levels import LevelModel, View
    from spine_models.findings.localization.tokens import Sources

COLUMNS = 6
PREDICTED, ANNOTATED = "#ff9a3c", "#6dff5f"


def box_overlays(
    boxes: pl.DataFrame, slices: pl.DataFrame, shard_roots: Mapping[str, Path], *, rows: int = 3
) -> dg.MarkdownMetadataValue:
    """One test slice of each condition with its annotated box (green) and the model's (orange).

    Args:
        boxes: as ``localization.evaluate`` returns them.
        slices: shards.SLICES, at least of those slices.
        shard_roots: shard folder by batch.
        rows: rows of pictures.

    The slice shown is the one of median overlap, so that the picture is neither the best nor the worst of them.
    """
    if boxes.is_empty():
        return dg.MetadataValue.md("no annotated test slices")
    from matplotlib.figure import Figure

    from spine_models.findings.localization.rectangles import iou

    own = boxes.filter(pl.col("method") == "model", pl.col("supervision") == "supervised")
    if own.is_empty():
        own = boxes.filter(pl.col("method") == "model")
    edges = ("cx", "cy", "bw", "bh")
    overlap = iou(own.select(*edges).to_numpy(), own.select(*(f"true_{e}" for e in edges)).to_numpy())
    ranked = own.with_columns(iou=pl.Series(overlap)).sort("condition", "iou", "slice_key")
    shown = ranked.group_by("condition", maintain_order=True).agg(pl.all().gather(pl.len() // 2).first())
    shown = shown.head(rows * COLUMNS)
    images = _images(slices.filter(pl.col("slice_key").is_in(shown["slice_key"].implode())), shard_roots)
    columns = min(COLUMNS, shown.height)
    lines = -(-shown.height // columns)
    figure = Figure(figsize=(1.9 * columns, 2.1 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, row in zip(axes, shown.iter_rows(named=True), strict=False):
        image = images[row["slice_key"]]
        axis.imshow(image, cmap="gray", vmin=0, vmax=65535, extent=(0, 1, 1, 0))
        _draw(axis, [row[f"true_{edge}"] for edge in edges], ANNOTATED)
        _draw(axis, [row[edge] for edge in edges], PREDICTED)
        axis.set_title(f"{row['condition']}  {row['iou']:.2f}", fontsize=7)
    figure.suptitle("annotated (green) and found (orange), overlap; the median test slice", fontsize=8)
    return png_of(figure, dpi=110)


def level_overlay(
    model: LevelModel | None,
    views: Mapping[str, View],
    targets: pl.DataFrame,
    slices: pl.DataFrame,
    sources: Sources,
) -> dg.MarkdownMetadataValue:
    """The discs of one test study's ladder on its middle sagittal slice, beside the levels annotated in it.

    Args:
        model: fitted levels.
        views: by study key.
        targets: localization.tables.TARGETS.
        slices: shards.SLICES of the annotated studies.
        sources: shards.
    """
    from spine_models.findings.localization.level_fit import view_rows
    from spine_models.findings.localization.levels import name_of_disc
    from spine_models.findings.localization.targets import LEVELS

    known = targets.filter(
        pl.col("split") == "test", pl.col("level").is_in(list(LEVELS)), pl.col("z_mm").is_not_null()
    )
    studies = (
        known.group_by("study_key")
        .agg(pl.col("level").n_unique())
        .sort("level", "study_key", descending=True)
    )
    held = [] if model is None else [
        key for key in studies["study_key"] if key in views and views[key].region in model.ladders
    ]  # fmt: skip
    if model is None or not held:
        return dg.MetadataValue.md("no test study with annotated levels and a ladder")
    from matplotlib.figure import Figure

    view, ladder = views[held[0]], model.ladders[views[held[0]].region]
    row = view_rows(slices.filter(pl.col("study_key") == held[0]), model.route)
    image = next(iter(_images(row, sources.shard_roots).values()))
    edge_mm = float(row["output_spacing_mm"][0]) * float(row["size_px"][0])
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    axis.imshow(image, cmap="gray", vmin=0, vmax=65535, extent=(0, 1, 1, 0))
    shift = ladder.shift_of(view)
    for place, height in zip(ladder.places, ladder.heights_mm, strict=True):
        name, at = name_of_disc(float(place)), 0.5 - (height + shift) / edge_mm
        if name is not None and 0 < at < 1:
            axis.axhline(at, xmin=0.55, xmax=0.8, color=PREDICTED, linewidth=0.9)
            axis.text(0.82, at, name, color=PREDICTED, fontsize=7, va="center")
    marks = (
        known.filter(pl.col("study_key") == held[0])
        .group_by("level")
        .agg(pl.col("z_mm").mean())
        .sort("level")
    )
    for name, z in marks.iter_rows():
        at = 0.5 - (z - view.z_mm) / edge_mm
        axis.axhline(at, xmin=0.3, xmax=0.5, color=ANNOTATED, linewidth=0.9)
        axis.text(0.28, at, name, color=ANNOTATED, fontsize=7, va="center", ha="right")
    settled = "count settled" if model.settled(view, shift) else "count not settled"
    axis.set_title(f"{view.region}, {settled}: annotated (green), ladder (orange)", fontsize=8)
    return png_of(figure, dpi=110)


def _images(slices: pl.DataFrame, shard_roots: Mapping[str, Path]) -> dict[str, np.ndarray]:
    from spine_models.findings.embeddings.images import stored_images

    found: dict[str, np.ndarray] = {}
    for (batch,), part in slices.group_by("batch_key", maintain_order=True):
        found |= dict(stored_images(part, shard_roots[str(batch)]))
    return found


def _draw(axis: Any, box: list[float], colour: str) -> None:
    from matplotlib.patches import Rectangle

    cx, cy, w, h = box
    axis.add_patch(Rectangle((cx - w / 2, cy - h / 2), w, h, fill=False, edgecolor=colour, linewidth=1.2))
