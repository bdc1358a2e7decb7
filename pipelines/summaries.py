"""What ``make demo`` and ``make study`` tell at their end: short tables, for the eye and as a Markdown file.

Belongs here: printing, and which columns of a named query's answer are shown. Does not belong here: the queries
(``sql/queries``), what is compared with a phantom's truth (``demo``), which tables a program shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table


@dataclass
class Summary:
    """Tables that are printed as they come, and kept.

    Args:
        console: where to print.
        markdown: the same as lines of Markdown.
    """

    console: Console
    markdown: list[str] = field(default_factory=list)

    def table(self, title: str, frame: pl.DataFrame) -> None:
        """Show a frame; floats to three places, a dash where nothing is known."""
        shown = Table(title=title, title_justify="left", header_style="bold")
        right = [dtype.is_numeric() for dtype in frame.dtypes]
        for name, numeric in zip(frame.columns, right, strict=True):
            shown.add_column(name, justify="right" if numeric else "left")
        rows = [[_cell(value) for value in row] for row in frame.rows()]
        for row in rows:
            shown.add_row(*row)
        self.console.print(shown)
        rule = ["---:" if numeric else "---" for numeric in right]
        self.markdown += [f"### {title}", "", *(_line(row) for row in (frame.columns, rule, *rows)), ""]

    def say(self, text: str) -> None:
        """A sentence between the tables."""
        self.console.print(text, markup=False, highlight=False)
        self.markdown += [text, ""]

    def write(self, path: Path) -> None:
        """Keep what was shown so far; visible only whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.partial")
        aside.write_text("\n".join(self.markdown), encoding="utf-8")
        aside.replace(path)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def training_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Losses at the end; measures before and after in one cell."""

    def change(first: str, last: str, digits: int) -> pl.Expr:
        places = [pl.col(name).round(digits).cast(pl.String) for name in (first, last)]
        return pl.concat_str(places, separator=" → ", ignore_nulls=True)

    return rows.select(
        "training",
        "route",
        "steps",
        "dino",
        "gram",
        change("view_retrieval_first", "view_retrieval", 2).alias("views found"),
        change("rank_first", "effective_rank", 1).alias("effective rank"),
    )


def retrieval_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Recall at 5 and median rank, chance in brackets."""

    def beside_chance(name: str, digits: int) -> pl.Expr:
        value, chance = (pl.col(n).round(digits).cast(pl.String) for n in (name, f"chance_{name}"))
        return pl.format("{} ({})", value, chance)

    return rows.select(
        "model",
        "series",
        pl.format("{} → {}", "query", "gallery").alias("finds"),
        "n",
        beside_chance("recall_5", 2).alias("recall at 5"),
        beside_chance("median_rank", 1).alias("median rank"),
    )


def gate_table(gates: pl.DataFrame) -> pl.DataFrame:
    """Mean share of the T1 encoder by contrast, one column a layer."""
    shares = gates.group_by("contrast", "layer").agg(pl.col("weight_t1").mean(), series=pl.len())
    wide = shares.sort("layer").pivot("layer", index=["contrast", "series"], values="weight_t1")
    return wide.rename({name: f"layer {name}" for name in wide.columns[2:]}).sort("contrast", nulls_last=True)


def encoder_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Mean AUROC with its interval by encoder and sequence set, held out and cross-validated."""
    known = rows.filter((pl.col("metric") == "auroc") & pl.col("mean").is_not_null())
    cell = with_interval("mean", "mean_low", "mean_high")
    wide = known.with_columns(cell.alias("cell")).pivot(
        "evaluation", index=["sequence_set", "encoder", "head"], values=["cell", "conditions"]
    )
    order = [
        name for name in ("cell_test", "conditions_test", "cell_cv", "conditions_cv") if name in wide.columns
    ]
    shown = wide.select("sequence_set", "encoder", "head", *order).sort("sequence_set", "encoder", "head")
    return shown.rename({name: name.removeprefix("cell_") for name in order})


def recall_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Recall at 5 with its interval beside chance, and the gain over the best baseline."""
    known = rows.filter(pl.col("recall_5").is_not_null() & (pl.col("task") != "condition_to_slice"))
    return known.select(
        "task",
        "sequence_set",
        pl.format("{} → {}", "query", "gallery").alias("finds"),
        "encoder",
        pl.col("n_queries").alias("n"),
        with_interval("recall_5", "recall_5_low", "recall_5_high").alias("recall at 5"),
        pl.col("chance_recall_5").alias("chance"),
        "median_rank",
        with_interval("gain", "gain_low", "gain_high").alias("gain"),
    )


def localization_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Slice AUROC and overlap of the learned conditions, model beside the position prior."""
    known = rows.filter(
        pl.col("slice_auroc").is_not_null() & pl.col("method").is_in(["model", "position_prior"])
    )
    wide = known.pivot(
        "method",
        index=["condition", "supervision", "n_patients"],
        values=["slice_auroc", "iou", "found_distance_mm"],
    )
    return wide.rename(
        {name: name.replace("_position_prior", " prior").replace("_model", "") for name in wide.columns}
    )


def level_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Skill of the heads of levels on test patients: of levels, beside the prior, and of whole studies."""
    return rows.filter(pl.col("auroc").is_not_null()).select(
        "condition",
        pl.col("test_positive").alias("n"),
        with_interval("auroc", "auroc_low", "auroc_high").alias("levels"),
        with_interval("prior_auroc", "prior_auroc_low", "prior_auroc_high").alias("levels, prior"),
        with_interval("study_auroc", "study_auroc_low", "study_auroc_high").alias("studies"),
    )


def benchmark_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Score of every answerer by dimension; of reports the whole alone."""
    known = rows.filter(
        pl.col("score").is_not_null()
        & (~pl.col("dimension").str.starts_with("report:") | (pl.col("dimension") == "report: all"))
    )
    cells = known.with_columns(cell=with_interval("score", "low", "high"))
    chance = known.group_by("dimension").agg(pl.col("chance").max(), pl.col("n").max())
    wide = cells.pivot("answerer", index="dimension", values="cell")
    return wide.join(chance, on="dimension", how="left", maintain_order="left")


def saliency_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Deletion, insertion, pointing and mass of every method, chance in brackets."""
    known = rows.filter((pl.col("condition") == "all") & pl.col("value").is_not_null())
    value, chance = (pl.col(name).round(3).cast(pl.String) for name in ("value", "chance"))
    cells = known.with_columns(cell=pl.format("{} ({})", value, chance.fill_null("–")))
    cells = cells.with_columns(pl.col("n").max().over("method"))
    return cells.pivot("measure", index=["method", "n"], values="cell")


def scorecard_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Agents of a kind: how many are trained, their own measure and calibration, what they answered and decided."""
    return rows.group_by("kind", maintain_order=True).agg(
        pl.len().alias("agents"),
        pl.col("trained").sum(),
        pl.col("metric").drop_nulls().unique(maintain_order=True).str.join(", "),
        pl.col("value").is_not_null().sum().alias("measured"),
        pl.col("value").mean().alias("mean"),
        pl.col("ece").mean().alias("mean ECE"),
        pl.col("answered").mean(),
        pl.col("decided").mean(),
    )


def mix_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Items and what was refused, by kind."""
    return rows.group_by("set", "kind", maintain_order=True).agg(
        pl.col("items").sum(),
        (pl.col("verified_share") * pl.col("items")).sum().cast(pl.Int64).alias("verified"),
        (pl.col("duplicate_share") * pl.col("items")).sum().round().cast(pl.Int64).alias("duplicates"),
    )


def report_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Every way to a report: claim F1 and what it is made of, texts, and the ratio over images alone."""
    return rows.select(
        "method",
        pl.col("n_studies").alias("n"),
        pl.col("n_missing").alias("missing"),
        pl.col("n_unreadable").alias("unreadable"),
        with_interval("f1", "f1_low", "f1_high").alias("claim F1"),
        "precision",
        "recall",
        pl.col("false_positives").alias("false positives a study"),
        pl.col("omissions").alias("omissions a study"),
        pl.col("rouge_l").alias("ROUGE-L"),
        pl.col("bleu").alias("BLEU"),
        with_interval("over_image_only", "over_image_only_low", "over_image_only_high").alias(
            "F1 over images alone"
        ),
    )


def with_interval(value: str, low: str, high: str) -> pl.Expr:
    """``0.61 [0.55 0.66]``; the bare value where it has no interval, null where there is no value."""
    parts = [
        pl.col(name).map_elements(lambda v: f"{v:.2f}", return_dtype=pl.String) for name in (value, low, high)
    ]
    return pl.coalesce(pl.format("{} [{} {}]", *parts), parts[0])
