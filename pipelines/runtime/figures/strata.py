"""Figures of the probes by stratum: vendor heat maps, T1 less T2, coverage, subgroups.

Belongs here: drawing tables of ``spine_models.findings.probes.strata``. Does not belong here: computing them.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from pipelines.runtime.metadata import png_of

NOTHING = "nothing to draw: no stratum has enough patients"
COLOURS = {"agrees": "#1b7837", "disagrees": "#b2182b", "open": "#777777", None: "#4575b4"}


def vendor_heat_map(vendors: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Train vendor (rows) by test vendor (columns), one panel a category; cells without a number stay empty."""
    from matplotlib.figure import Figure

    shown = vendors.filter(pl.col("status") == "evaluated")
    if shown.is_empty():
        return dg.MetadataValue.md(NOTHING)
    categories = [
        c
        for c in vendors["category"].unique(maintain_order=True).to_list()
        if not shown.filter(pl.col("category") == c).is_empty()
    ]
    sequence_set = shown["sequence_set"][0]
    names = shown.filter(pl.col("sequence_set") == sequence_set)
    trains = [
        t for t in vendors["train_vendor"].unique(maintain_order=True) if t in set(names["train_vendor"])
    ]
    tests = [t for t in vendors["test_vendor"].unique(maintain_order=True) if t in set(names["test_vendor"])]
    columns = min(3, len(categories))
    rows = -(-len(categories) // columns)
    width, height = 0.95 * len(tests) + 1.1, 0.55 * len(trains) + 0.9
    figure = Figure(figsize=(width * columns + 0.9, height * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    image = None
    for place, axis in enumerate(axes.flat):
        if place >= len(categories):
            axis.axis("off")
            continue
        part = names.filter(pl.col("category") == categories[place])
        values = {(r["train_vendor"], r["test_vendor"]): r for r in part.iter_rows(named=True)}
        grid = np.array([[values.get((a, b), {}).get("auroc", np.nan) for b in tests] for a in trains])
        axis.set_facecolor("0.93")
        image = axis.imshow(grid, vmin=0.3, vmax=1.0, cmap="RdYlBu", aspect="auto")
        for (y, x), value in np.ndenumerate(grid):
            if np.isnan(value):
                axis.text(x, y, "–", ha="center", va="center", fontsize=8, color="0.4")
                continue
            row = values[trains[y], tests[x]]
            edges = [row["auroc_low"], row["auroc_high"]]
            interval = "" if None in edges else "\n" + "–".join(f"{e:.2f}".removeprefix("0") for e in edges)
            colour = "white" if value > 0.92 or value < 0.38 else "black"
            axis.text(x, y, f"{value:.2f}{interval}", ha="center", va="center", fontsize=6.5, color=colour)
        axis.set_xticks(range(len(tests)), tests, fontsize=7)
        axis.set_yticks(range(len(trains)), trains, fontsize=7)
        n = part["n_conditions"].max()
        axis.set_title(f"{categories[place]} (up to {n} condition{'s' if n != 1 else ''})", fontsize=8)
        if place % columns == 0:
            axis.set_ylabel("trained on", fontsize=8)
        if place // columns == rows - 1:
            axis.set_xlabel("tested on", fontsize=8)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label(f"mean AUROC ({sequence_set})", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return png_of(figure, dpi=110)


def contrast_plot(contrasts: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """AUROC of T1 less that of T2 per condition with intervals, coloured by agreement with the expectation."""
    from matplotlib.figure import Figure

    shown = contrasts.filter((pl.col("status") == "evaluated") & (pl.col("encoder") == "spinefm"))
    if shown.is_empty():
        return dg.MetadataValue.md(NOTHING)
    evaluations = shown["evaluation"].unique(maintain_order=True).to_list()
    names = contrasts["condition"].unique(maintain_order=True).to_list()
    names = [name for name in names if name in set(shown["condition"])]
    expected = dict(contrasts.select("condition", "expected").iter_rows())
    figure = Figure(figsize=(4.2 * len(evaluations) + 1.2, 0.3 * len(names) + 1.5), layout="constrained")
    axes = figure.subplots(1, len(evaluations), squeeze=False, sharey=True, sharex=True)[0]
    for axis, evaluation in zip(axes, evaluations, strict=True):
        for row in shown.filter(pl.col("evaluation") == evaluation).iter_rows(named=True):
            y, colour = names.index(row["condition"]), COLOURS[row["agreement"]]
            axis.barh(y, row["difference"], color=colour, alpha=0.55, height=0.65)
            _interval(axis, y, row, "difference", colour)
        axis.axvline(0, color="0.2", linewidth=0.8)
        axis.set_title(evaluation, fontsize=9)
        axis.set_xlabel("AUROC of T1 less T2\n← T2 better      T1 better →", fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0].set_yticks(range(len(names)), [f"{n} ({expected[n]})" for n in names], fontsize=7)
    axes[0].invert_yaxis()
    _legend(figure, axes[-1])
    return png_of(figure, dpi=110)


def coverage_plot(conformal: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Coverage of either class with Wilson intervals, and the share abstained, per condition."""
    from matplotlib.figure import Figure

    evaluated = conformal.filter(pl.col("status") == "evaluated")
    if evaluated.is_empty():
        return dg.MetadataValue.md(NOTHING)
    sets = evaluated["sequence_set"].unique(maintain_order=True).to_list()
    sequence_set = "all" if "all" in sets else sets[0]
    shown = evaluated.filter(pl.col("sequence_set") == sequence_set)
    names = shown["condition"].to_list()
    figure = Figure(figsize=(8.4, 0.34 * len(names) + 1.5), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    sides = (
        ("coverage_positive", "#b2182b", -0.15, "with the condition"),
        ("coverage_negative", "#2166ac", 0.15, "without"),
    )
    for column, colour, offset, label in sides:
        for y, row in enumerate(shown.iter_rows(named=True)):
            if row[column] is not None:
                _interval(axes[0], y + offset, row, column, colour)
                axes[0].plot(
                    row[column], y + offset, "o", color=colour, markersize=4, label=label if y == 0 else None
                )
    nominal = shown["nominal"][0]
    axes[0].axvline(nominal, linestyle="--", color="0.3", linewidth=0.8)
    axes[0].set_xlabel(f"coverage ({sequence_set}); promised: {nominal:g}", fontsize=8)
    axes[0].legend(fontsize=7, loc="lower left")
    for y, row in enumerate(shown.iter_rows(named=True)):
        axes[1].barh(y, row["abstained"], color="0.6", height=0.6, label="abstained" if y == 0 else None)
        if row["accuracy"] is not None:
            axes[1].plot(
                row["accuracy"],
                y,
                "D",
                color="#1b7837",
                markersize=4,
                label="right when it decides" if y == 0 else None,
            )
    axes[1].set_xlim(0, 1.02)
    axes[1].set_xlabel("share of test patients", fontsize=8)
    axes[1].legend(fontsize=7, loc="lower right")
    axes[0].set_yticks(range(len(names)), names, fontsize=7)
    axes[0].invert_yaxis()
    for axis in axes:
        axis.tick_params(labelsize=7)
    return png_of(figure, dpi=110)


def subgroup_plot(subgroups: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Mean AUROC of every subgroup less everybody else's, with intervals."""
    from matplotlib.figure import Figure

    shown = subgroups.filter(
        (pl.col("condition") == "mean")
        & (pl.col("status") == "evaluated")
        & pl.col("difference").is_not_null()
    )
    if shown.is_empty():
        return dg.MetadataValue.md(NOTHING)
    names = shown.select("dimension", "subgroup").unique(maintain_order=True).rows()
    figure = Figure(figsize=(6.4, 0.36 * len(names) + 1.3), layout="constrained")
    axis = figure.subplots()
    evaluations = shown["evaluation"].unique(maintain_order=True).sort().to_list()
    for number, evaluation in enumerate(evaluations):
        colour = ("#2166ac", "#b2182b")[number % 2]
        offset = 0.3 * (number - (len(evaluations) - 1) / 2)
        rows = shown.filter(pl.col("evaluation") == evaluation)
        for i, row in enumerate(rows.iter_rows(named=True)):
            y = names.index((row["dimension"], row["subgroup"])) + offset
            _interval(axis, y, row, "difference", colour)
            axis.plot(
                row["difference"], y, "o", color=colour, markersize=4, label=evaluation if i == 0 else None
            )
    patients = {(d, s): n for d, s, n in shown.select("dimension", "subgroup", "n_patients").iter_rows()}
    axis.axvline(0, color="0.2", linewidth=0.8)
    axis.set_yticks(range(len(names)), [f"{d}: {s} (n={patients[d, s]})" for d, s in names], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("mean AUROC less everybody else's", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.legend(fontsize=7)
    return png_of(figure, dpi=110)


def _interval(axis: Any, y: float, row: dict[str, Any], column: str, colour: str) -> None:
    """The interval of a column as a line; none where it has no edges."""
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    if low is not None and high is not None:
        axis.plot([low, high], [y, y], color=colour, linewidth=1.4)


def _legend(figure: Any, axis: Any) -> None:
    from matplotlib.patches import Patch

    words = {"agrees": "as expected", "disagrees": "against expectation", "open": "interval holds zero"}
    patches = [Patch(color=COLOURS[key], alpha=0.7, label=word) for key, word in words.items()]
    patches.append(Patch(color=COLOURS[None], alpha=0.7, label="nothing expected"))
    axis.legend(handles=patches, fontsize=6.5, loc="best")
