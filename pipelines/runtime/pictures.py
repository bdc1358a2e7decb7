"""Pictures of what encoders see, as asset metadata; only ever of de-identified slices.

Belongs here: drawing arrays. Does not belong here: computing them (``spine_models.encoder.backbone.patch_similarity``).
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from pipelines.runtime.metadata import png_of

WIDTH = 1.5  # inches of one picture


def patch_sheet(images: np.ndarray, before: np.ndarray, after: np.ndarray) -> dg.MarkdownMetadataValue:
    """Each slice with the similarity of one patch to all others and the main directions of its patch tokens.

    Similarity and directions are drawn of two encoders, side by side; directions share their axes over the slices of
    one encoder.

    Args:
        images: uint16 [N, S, S].
        before: [N, h, w, D] float patch tokens of the first encoder.
        after: [N, h, w, D] of the second.
    """
    from matplotlib.figure import Figure

    from spine_models.encoder.backbone.patch_similarity import principal_colours, similarity_map

    colours = [principal_colours(tokens) for tokens in (before, after)]
    titles = ("slice", "similarity before", "similarity after", "directions before", "directions after")
    figure = Figure(figsize=(WIDTH * len(titles), WIDTH * len(images) + 0.25), layout="constrained")
    axes = figure.subplots(len(images), len(titles), squeeze=False)
    for n, image in enumerate(images):
        row, column = brightest_patch(image, before.shape[1:3])
        _show(axes[n][0], image, cmap="gray", vmin=0, vmax=65535)
        size = image.shape[0] / before.shape[1]
        axes[n][0].plot((column + 0.5) * size, (row + 0.5) * size, "+", color="red", markersize=7)
        for m, tokens in enumerate((before, after)):
            _show(axes[n][1 + m], similarity_map(tokens[n], row, column), cmap="magma", vmin=-1, vmax=1)
            _show(axes[n][3 + m], colours[m][n])
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=7)
    return png_of(figure)


def gate_plot(gates: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Share of the T1 encoder by layer, one line a contrast: mean over series, with one standard deviation.

    Args:
        gates: synthesizer GATES.
    """
    if gates.is_empty():
        return dg.MetadataValue.md("no gates")
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    axis = figure.subplots()
    known = gates.with_columns(pl.col("contrast").fill_null("abstained"))
    layers = known["layer"].max() + 1
    contrasts = known.sort("contrast").group_by("contrast", maintain_order=True)
    for colour, ((contrast,), part) in enumerate(contrasts):
        rows = part.group_by("layer").agg(
            mean=pl.col("weight_t1").mean(), spread=pl.col("weight_t1").std(ddof=0), n=pl.len()
        )
        rows = rows.sort("layer")
        axis.errorbar(
            rows["layer"].to_numpy(), rows["mean"].to_numpy(), yerr=rows["spread"].to_numpy(),
            linewidth=1.0, capsize=2, color=colormaps["tab20"](colour % 20), label=f"{contrast} ({rows['n'][0]})",
        )  # fmt: skip
    axis.axhline(0.5, linestyle="--", linewidth=0.8, color="grey")
    axis.set_xticks(range(layers))
    axis.set_xlabel("layer", fontsize=8)
    axis.set_ylabel("share of the T1 encoder", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return png_of(figure)


def brightest_patch(image: np.ndarray, grid: tuple[int, int]) -> tuple[int, int]:
    """Row and column of the brightest patch in the middle of a slice: tissue, not air."""
    size = image.shape[0] // grid[0]
    patches = (
        image[: grid[0] * size, : grid[1] * size].reshape(grid[0], size, grid[1], size).mean(axis=(1, 3))
    )
    inner = np.zeros(grid, dtype=bool)
    inner[grid[0] // 3 : -(grid[0] // 3) or None, grid[1] // 3 : -(grid[1] // 3) or None] = True
    row, column = np.unravel_index(np.where(inner, patches, -1.0).argmax(), grid)
    return int(row), int(column)


def _show(axis: Any, picture: np.ndarray, **how: Any) -> None:
    axis.imshow(picture, interpolation="nearest", **how)
    axis.set_xticks([])
    axis.set_yticks([])
