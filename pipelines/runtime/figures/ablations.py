"""Figures of the ablations: what each part adds, and what longer training brings.

Belongs here: drawing SCORES. Does not belong here: computing them (``spine_models.findings.ablations``).
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg
import polars as pl

from pipelines.runtime.metadata import png_of
from spine_models.findings.ablations.variants import Question, step_of

COLOURS = {"t1": "tab:blue", "t2": "tab:orange", "other": "tab:green", "all": "black"}


def gain_plot(scores: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """AUROC of the reference less that of each variant, with its interval; right of zero the part helps.

    Args:
        scores: ablations SCORES.
    """
    rows = scores.filter(
        (pl.col("measure") == "auroc") & ~pl.col("is_reference") & pl.col("difference").is_not_null()
    )
    if rows.is_empty():
        return dg.MetadataValue.md("no comparison could be scored")
    from matplotlib.figure import Figure

    steps = pl.col("variant").map_elements(step_of, return_dtype=pl.Int64, skip_nulls=False)
    rows = rows.sort("question", steps, "variant", "sequence_set", "evaluation")
    names = [f"{q}: {v}" for q, v in rows.select("question", "variant").unique(maintain_order=True).rows()]
    places = {name: i for i, name in enumerate(names)}
    figure = Figure(figsize=(7.2, 0.42 * len(names) + 1.1), layout="constrained")
    axis = figure.subplots()
    kinds = rows.select("sequence_set", "evaluation").unique(maintain_order=True).rows()
    for n, (sequence_set, evaluation) in enumerate(kinds):
        part = rows.filter((pl.col("sequence_set") == sequence_set) & (pl.col("evaluation") == evaluation))
        x = part["difference"].to_numpy()
        y = [
            places[f"{q}: {v}"] + 0.7 * (n + 0.5) / len(kinds) - 0.35
            for q, v in part.select("question", "variant").rows()
        ]
        error = [x - part["difference_low"].to_numpy(), part["difference_high"].to_numpy() - x]
        axis.errorbar(
            x, y, xerr=error, fmt="o" if evaluation == "test" else "s", markersize=3, linewidth=0.9,
            color=COLOURS[sequence_set], mfc="white" if evaluation == "cv" else None,
            label=f"{sequence_set}, {evaluation}",
        )  # fmt: skip
    axis.axvline(0.0, linestyle="--", linewidth=0.8, color="grey")
    axis.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=7)
    axis.invert_yaxis()
    axis.tick_params(axis="x", labelsize=7)
    axis.set_xlabel("mean AUROC of what is in use, less that of the variant", fontsize=8)
    axis.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return png_of(figure)


def length_plot(
    scores: pl.DataFrame, steps: int, baselines: Mapping[tuple[str, str], float] | None = None
) -> dg.MarkdownMetadataValue:
    """Mean AUROC over steps of pretraining, one panel an evaluation; the last point is after anchoring.

    Args:
        scores: ablations SCORES.
        steps: of the whole pretraining.
        baselines: best baseline's mean AUROC by sequence set and evaluation, drawn as dashed lines.
    """
    rows = scores.filter((pl.col("question") == Question.LENGTH.value) & (pl.col("measure") == "auroc"))
    rows = rows.filter(pl.col("value").is_not_null())
    if rows["variant"].n_unique() < 2:
        return dg.MetadataValue.md("no snapshots: set backbone.snapshots")
    from matplotlib.figure import Figure

    known = rows.with_columns(
        step=pl.col("variant").map_elements(lambda name: step_of(name) or steps, return_dtype=pl.Int64)
    )
    evaluations = known["evaluation"].unique().sort().to_list()
    figure = Figure(figsize=(3.6 * len(evaluations), 2.8), layout="constrained")
    for axis, evaluation in zip(
        figure.subplots(1, len(evaluations), squeeze=False)[0], evaluations, strict=True
    ):
        for (sequence_set,), part in known.filter(pl.col("evaluation") == evaluation).group_by(
            "sequence_set", maintain_order=True
        ):
            line = part.sort("step")
            x, colour = line["step"].to_numpy(), COLOURS[str(sequence_set)]
            axis.plot(
                x,
                line["value"].to_numpy(),
                "o-",
                markersize=3,
                linewidth=1.1,
                color=colour,
                label=sequence_set,
            )
            axis.fill_between(x, line["low"].to_numpy(), line["high"].to_numpy(), color=colour, alpha=0.12)
            best = (baselines or {}).get((str(sequence_set), evaluation))
            if best is not None:
                axis.axhline(best, linestyle="--", linewidth=0.8, color=colour)
        axis.set_title(
            f"{evaluation}; dashed: best baseline, unpaired" if baselines else evaluation, fontsize=8
        )
        axis.set_xlabel("steps of pretraining", fontsize=8)
        axis.set_ylabel("mean AUROC", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7)
    return png_of(figure)
