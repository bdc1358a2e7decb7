"""Figures of the probes: ROC and precision-recall with bands, calibration, confusion, means of encoders.

Belongs here: drawing predictions and scores. Does not belong here: computing scores (``findings.probes``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import dagster as dg
import numpy as np
import polars as pl

from pipelines.runtime.metadata import png_of

COLUMNS: Final = 5
GRID: Final = np.linspace(0.0, 1.0, 101)
COLOURS: Final = {"cv": "tab:blue", "test": "tab:orange"}
NOTHING: Final = "no condition could be evaluated"


def curves(
    predictions: pl.DataFrame,
    metrics: pl.DataFrame,
    kind: str,
    *,
    bootstrap: int,
    seed: int,
    encoder: str = "spinefm",
) -> dg.MarkdownMetadataValue:
    """A panel a condition: the curve of cv and of test, each with the 95 % band of a bootstrap over patients.

    Args:
        predictions: probes.PREDICTIONS; all sequences and linear heads are drawn.
        metrics: probes.METRICS; what could not be evaluated is not drawn.
        kind: roc | pr.
        bootstrap: replicates of a band, at most 200 are drawn.
        seed: of the replicates.
        encoder: whose predictions.
    """
    from spine_models.findings.probes.scores import patient_draws

    shown = _shown(predictions, metrics, encoder)
    if shown.is_empty():
        return dg.MetadataValue.md(NOTHING)
    figure, panels = _panels(shown)
    for axis, part in panels:
        for evaluation, rows in _evaluations(part):
            label = rows["label"].to_numpy()
            _, member = np.unique(rows["patient_key"].to_numpy(), return_inverse=True)
            draws = patient_draws(member.max() + 1, min(bootstrap, 200), (seed,))[:, member]
            weights = np.vstack([np.ones(len(label)), draws]).astype(np.float64)
            lines = _curves(label, rows["probability"].to_numpy(), weights, kind)
            low, high = np.nanpercentile(lines[1:], [2.5, 97.5], axis=0)
            axis.fill_between(GRID, low, high, alpha=0.2, color=COLOURS[evaluation], linewidth=0)
            axis.plot(
                GRID, lines[0], linewidth=1.2, color=COLOURS[evaluation], label=_counted(evaluation, label)
            )
            if kind == "pr":
                axis.axhline(label.mean(), linestyle=":", linewidth=0.8, color=COLOURS[evaluation])
        if kind == "roc":
            axis.plot([0, 1], [0, 1], linestyle="--", linewidth=0.6, color="grey")
        _frame(axis)
    roc = kind == "roc"
    figure.supxlabel("1 - specificity" if roc else "recall (dotted: prevalence)", fontsize=9)
    figure.supylabel("sensitivity" if roc else "precision", fontsize=9)
    return png_of(figure, dpi=90)


def calibration(
    predictions: pl.DataFrame, metrics: pl.DataFrame, encoder: str = "spinefm"
) -> dg.MarkdownMetadataValue:
    """A panel a condition: the share of positives in equal-mass bins of the probability; bars are Wilson intervals.

    Args:
        predictions: probes.PREDICTIONS; all sequences and linear heads are drawn.
        metrics: probes.METRICS; what could not be evaluated is not drawn.
        encoder: whose predictions.
    """
    shown = _shown(predictions, metrics, encoder)
    if shown.is_empty():
        return dg.MetadataValue.md(NOTHING)
    figure, panels = _panels(shown)
    for axis, part in panels:
        axis.plot([0, 1], [0, 1], linestyle="--", linewidth=0.6, color="grey")
        for evaluation, rows in _evaluations(part):
            label, chance = rows["label"].to_numpy(), rows["probability"].to_numpy()
            order = np.argsort(chance, kind="stable")
            bins = np.array_split(order, max(1, min(10, len(order) // 10)))
            x = np.array([chance[rows_].mean() for rows_ in bins])
            y = np.array([label[rows_].mean() for rows_ in bins])
            n = np.array([len(rows_) for rows_ in bins])
            centre = (y + 1.92 / n) / (1 + 3.84 / n)
            half = 1.96 * np.sqrt(y * (1 - y) / n + 0.96 / n**2) / (1 + 3.84 / n)
            error = np.vstack([y - (centre - half), centre + half - y]).clip(min=0)
            axis.errorbar(
                x, y, yerr=error, fmt="o-", markersize=2.5, linewidth=0.9, elinewidth=0.6,
                color=COLOURS[evaluation], label=_counted(evaluation, label),
            )  # fmt: skip
        _frame(axis)
    figure.supxlabel("probability", fontsize=9)
    figure.supylabel("share of positives", fontsize=9)
    return png_of(figure, dpi=90)


def confusion(
    predictions: pl.DataFrame, metrics: pl.DataFrame, encoder: str = "spinefm"
) -> dg.MarkdownMetadataValue:
    """A panel a condition: test studies by label and by call at the operating threshold, chosen on other patients.

    Args:
        predictions: probes.PREDICTIONS.
        metrics: probes.METRICS, for the thresholds; conditions without one have no panel.
        encoder: whose predictions.
    """
    shown = _shown(predictions, metrics, encoder).filter(evaluation="test").drop_nulls("threshold")
    if shown.is_empty():
        return dg.MetadataValue.md(NOTHING)
    figure, panels = _panels(shown)
    for axis, part in panels:
        called = (part["probability"] >= part["threshold"]).to_numpy()
        label = part["label"].to_numpy() == 1
        table = np.array([[(called[label == row] == column).sum() for column in (0, 1)] for row in (0, 1)])
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(2, 2):
            axis.text(
                column, row, f"{table[row, column]}\n{share[row, column]:.0%}", ha="center", va="center",
                fontsize=8, color="white" if share[row, column] > 0.6 else "black",
            )  # fmt: skip
        axis.set_xticks([0, 1], ["-", "+"], fontsize=7)
        axis.set_yticks([0, 1], ["absent", "present"], fontsize=7)
    figure.supxlabel("called (test, threshold from other patients)", fontsize=9)
    return png_of(figure, dpi=90)


def means(summary: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Mean AUROC and AUPRC with intervals, a row a sequence set, cv and test beside each other.

    Args:
        summary: probes.SUMMARY.
    """
    from matplotlib.figure import Figure

    shown = summary.filter(status="evaluated")
    if shown.is_empty():
        return dg.MetadataValue.md(NOTHING)
    shown = shown.with_columns(
        name=pl.when(pl.col("head") == "linear")
        .then("encoder")
        .otherwise(pl.format("{} ({})", "encoder", "head"))
    )
    names = shown["name"].unique(maintain_order=True).to_list()
    sets = [name for name in ("t1", "t2", "other", "all") if name in shown["sequence_set"]]
    figure = Figure(figsize=(8, 0.5 + len(sets) * (0.25 * len(names) + 0.55)), layout="constrained")
    axes = figure.subplots(len(sets), 2, squeeze=False, sharex="col")
    for row, sequence_set in zip(axes, sets, strict=True):
        for axis, metric in zip(row, ("auroc", "auprc"), strict=True):
            for offset, evaluation in enumerate(("cv", "test")):
                part = shown.filter(sequence_set=sequence_set, evaluation=evaluation)
                y = np.array([names.index(name) for name in part["name"]]) + 0.2 * (2 * offset - 1)
                x = part[metric].to_numpy()
                error = np.vstack(
                    [x - part[f"{metric}_low"].to_numpy(), part[f"{metric}_high"].to_numpy() - x]
                )
                axis.errorbar(
                    x, y, xerr=error.clip(min=0), fmt="o", markersize=3.5, linewidth=1.0, color=COLOURS[evaluation],
                    label=evaluation,
                )  # fmt: skip
            axis.set_yticks(range(len(names)), names if metric == "auroc" else [], fontsize=7)
            axis.set_ylim(len(names) - 0.5, -0.5)
            axis.tick_params(labelsize=7)
            axis.grid(axis="x", linewidth=0.3)
            held = dict(shown.filter(sequence_set=sequence_set).select("evaluation", "n_conditions").rows())
            counted = ", ".join(f"{evaluation} of {n}" for evaluation, n in sorted(held.items()))
            axis.set_title(f"{sequence_set}: mean {metric.upper()} ({counted} conditions)", fontsize=8)
    figure.legend(*axes[-1][-1].get_legend_handles_labels(), fontsize=7, loc="outside lower center", ncols=2)
    return png_of(figure)


def _shown(predictions: pl.DataFrame, metrics: pl.DataFrame, encoder: str) -> pl.DataFrame:
    """Predictions on all sequences of what could be evaluated, with the operating thresholds."""
    keys = ["condition", "encoder", "head", "sequence_set", "evaluation"]
    rows = predictions.filter(encoder=encoder, head="linear", sequence_set="all")
    return rows.join(metrics.filter(status="evaluated").select(*keys, "threshold"), on=keys)


def _evaluations(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    for evaluation in COLOURS:
        part = rows.filter(evaluation=evaluation)
        if not part.is_empty():
            yield evaluation, part


def _panels(shown: pl.DataFrame) -> tuple[Any, list[tuple[Any, pl.DataFrame]]]:
    """A square panel a condition, in the conditions' order."""
    from matplotlib.figure import Figure

    from spine_models.domain import condition_keys

    held = [name for name in condition_keys() if name in set(shown["condition"])]
    width = min(COLUMNS, len(held))
    height = -(-len(held) // width)
    figure = Figure(figsize=(2.1 * width + 0.4, 2.2 * height + 0.4), layout="constrained")
    axes = figure.subplots(height, width, squeeze=False).ravel()
    for axis in axes[len(held) :]:
        axis.set_axis_off()
    panels = [(axis, shown.filter(condition=name)) for axis, name in zip(axes, held, strict=False)]
    for axis, name in zip(axes, held, strict=False):
        axis.set_title(name, fontsize=8)
    return figure, panels


def _frame(axis: Any) -> None:
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.02)
    axis.set_aspect("equal")
    axis.tick_params(labelsize=6)
    axis.legend(fontsize=5.5, loc="best")


def _counted(evaluation: str, label: np.ndarray) -> str:
    return f"{evaluation}, {int(label.sum())} of {len(label)}"


def _curves(label: np.ndarray, chance: np.ndarray, weights: np.ndarray, kind: str) -> np.ndarray:
    """Curves [B, 101] over 1 - specificity or over recall; NaN where a replicate has one class only.

    Precision at a recall is that of the highest threshold that reaches it.
    """
    order = np.argsort(-chance, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(chance[order])), len(chance) - 1)
    hits = np.cumsum(weights[:, order] * (label[order] == 1), axis=1)[:, ends]
    alarms = np.cumsum(weights[:, order] * (label[order] == 0), axis=1)[:, ends]
    lines = np.full((len(weights), len(GRID)), np.nan)
    for line, hit, alarm in zip(lines, hits, alarms, strict=True):
        if hit[-1] == 0 or alarm[-1] == 0:
            continue
        if kind == "roc":
            line[:] = np.interp(GRID, np.append(0.0, alarm / alarm[-1]), np.append(0.0, hit / hit[-1]))
            continue
        first = np.searchsorted(hit / hit[-1], np.maximum(GRID, 1e-9) - 1e-12).clip(max=len(hit) - 1)
        line[:] = hit[first] / (hit[first] + alarm[first])
    return lines
