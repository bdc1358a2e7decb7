"""Pictures of attribution: maps over slices with boxes, deletion and insertion curves, knock-outs of one study.

Belongs here: drawing. Does not belong here: maps and measures (``spine_models.findings.attribution``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from pipelines.runtime.metadata import png_of

if TYPE_CHECKING:
    from spine_models.findings.attribution.judge import Example

WIDTH = 1.7  # inches of one picture
REFERENCES = {"random": "--", "centre": ":"}
MAX_BARS = 14


def saliency_sheet(examples: Sequence[Example]) -> dg.MarkdownMetadataValue:
    """Each slice with its boxes, then with every method's map over it: red speaks for the condition, blue against.

    Every map has its own scale, symmetric around zero.
    """
    if not examples:
        return dg.MetadataValue.md("no annotated slice of a test patient was judged")
    from matplotlib.figure import Figure

    methods = list(examples[0].maps)
    figure = Figure(figsize=(WIDTH * (1 + len(methods)), WIDTH * len(examples) + 0.3), layout="constrained")
    axes = figure.subplots(len(examples), 1 + len(methods), squeeze=False)
    for n, example in enumerate(examples):
        for m, method in enumerate([None, *methods]):
            axis = axes[n][m]
            _slice(axis, example)
            if method is not None:
                _overlay(axis, example.image.shape[0], example.maps[method])
            if n == 0:
                axis.set_title(method or "slice", fontsize=8)
        axes[n][0].set_ylabel(f"{example.condition} ({example.route})", fontsize=7)
    return png_of(figure)


def saliency_curves(curves: Mapping[tuple[str, str], tuple[np.ndarray, int]]) -> dg.MarkdownMetadataValue:
    """Mean probability over all judged slices while patches go (deletion) or come (insertion), in each order.

    Args:
        curves: sum of curves and number of slices by method and measure (``judge.Judged.curves``).
    """
    if not curves:
        return dg.MetadataValue.md("no slice was judged")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, measure in zip(axes, ("deletion", "insertion"), strict=True):
        number = 0
        for (method, kind), (total, n) in curves.items():
            if kind != measure:
                continue
            share = np.linspace(0.0, 1.0, len(total))
            style = REFERENCES.get(method, "-")
            colour = "0.45" if method in REFERENCES else None
            axis.plot(share, total / n, style, color=colour, linewidth=1.3, label=method)
            number = n
        better = "lower" if measure == "deletion" else "higher"
        axis.set_title(f"{measure}, {number} slices: {better} is better", fontsize=8)
        axis.set_xlabel("share of patches " + ("blurred" if measure == "deletion" else "shown"), fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0].set_ylabel("mean probability", fontsize=8)
    axes[0].legend(fontsize=7)
    return png_of(figure)


def knockout_bars(knockouts: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """One study and condition: the probability as it is, and without each series and route.

    Of all studies with several series the one whose probability a single series moves most.

    Args:
        knockouts: attribution.KNOCKOUTS.
    """
    moved = (pl.col("probability_after") - pl.col("probability_before")).abs()
    known = knockouts.filter(pl.col("probability_after").is_not_null())
    if known.is_empty():
        return dg.MetadataValue.md("no study has anything to leave out")
    from matplotlib.figure import Figure

    chosen = known.sort(moved, "study_key", "condition", "key", descending=[True, False, False, False]).row(
        0, named=True
    )
    rows = knockouts.filter(
        (pl.col("study_key") == chosen["study_key"]) & (pl.col("condition") == chosen["condition"])
    ).sort(pl.col("unit") == "series", moved, descending=[False, True], nulls_last=True)
    rows = rows.head(MAX_BARS)
    before = chosen["probability_before"]
    figure = Figure(figsize=(6.4, 0.28 * rows.height + 1.1), layout="constrained")
    axis = figure.subplots()
    places = np.arange(rows.height)
    after = rows["probability_after"].to_list()
    for place, value, reason in zip(places, after, rows["reason"], strict=True):
        if value is None:
            axis.text(before, place, f" {reason}", va="center", fontsize=7, color="0.4")
            continue
        colour = "#b2182b" if value > before else "#2166ac"
        axis.barh(place, value - before, left=before, color=colour, height=0.7)
    axis.axvline(before, color="black", linewidth=1.0)
    names = [
        f"without every {row['route']} series"
        if row["unit"] == "route"
        else f"without {row['contrast'] or '?'} ({row['route']}) {row['key'][:6]}"
        for row in rows.iter_rows(named=True)
    ]
    axis.set_yticks(places, names, fontsize=7)
    axis.invert_yaxis()
    axis.set_xlim(0.0, 1.0)
    axis.tick_params(axis="x", labelsize=7)
    axis.set_xlabel(f"probability of {chosen['condition']}; {before:.2f} with everything", fontsize=8)
    return png_of(figure)


def _slice(axis: Any, example: Example) -> None:
    from matplotlib.patches import Rectangle

    size = example.image.shape[0]
    axis.imshow(example.image, cmap="gray", vmin=0, vmax=65535, extent=(0, size, size, 0))
    for box in example.boxes:
        corner, width, height = (box.left, box.top), box.right - box.left, box.bottom - box.top
        axis.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="lime", linewidth=0.9))
    axis.set_xticks([])
    axis.set_yticks([])


def _overlay(axis: Any, size: int, found: np.ndarray) -> None:
    from spine_models.findings.attribution.saliency import upsampled

    reach = float(np.abs(found).max()) or 1.0
    axis.imshow(
        upsampled(found, size), cmap="RdBu_r", vmin=-reach, vmax=reach, alpha=0.45, extent=(0, size, size, 0)
    )
