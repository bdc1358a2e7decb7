"""``make study``: two phantom cohorts through the whole graph and its ablations, and the tables that come of it.

Belongs here: the study's size, the order of its runs, its summary. Does not belong here: any step of the graph, any
table's SQL (``sql/queries``). Everything is resumable: a second call goes on where the first one stopped.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl
from rich.console import Console

from pipelines.demo import make_ready, write_phantom
from pipelines.runtime.profiles import Settings
from pipelines.runtime.resources import Hospital
from pipelines.summaries import (
    Summary,
    benchmark_table,
    encoder_table,
    level_table,
    localization_table,
    mix_table,
    recall_table,
    report_table,
    saliency_table,
    scorecard_table,
    with_interval,
)

PATIENTS: Final = 640
EXTERNAL_PATIENTS: Final = 160
SEED: Final = 601
QUESTIONS: Final = (
    "encoder_comparison", "ablation_table", "sequence_contrast", "vendor_matrix", "cohort_transfer", "subgroup_scores",
    "abstention", "retrieval_recall", "localization_scores", "level_skill", "attribution_scores",
    "auroc_by_condition", "agent_scorecard", "instruction_mix", "benchmark_scores", "report_scores",
)  # fmt: skip
"""Named queries whose whole answers are kept as CSV."""


def main(patients: int = PATIENTS, external: int = EXTERNAL_PATIENTS, seed: int = SEED) -> None:
    """Write both cohorts where there are none, run the graph, print and keep the tables."""
    started = time.monotonic()
    settings = Settings()
    hospital = Hospital.from_settings(settings)
    runner = make_ready(settings, hospital)
    internal, rsna = (settings.root.absolute() / name for name in ("phantom", "phantom_rsna"))
    write_phantom(internal, patients=patients, seed=seed)
    write_phantom(rsna, patients=external, seed=seed + 1, layout="rsna")
    # Both cohorts stand before anything is frozen, and are embedded before anything is scored.
    runner.run(rsna / "inbox", through="shards", cohort="rsna")
    runner.run(internal / "inbox", through="embeddings")
    runner.run(rsna / "inbox", through="embeddings", cohort="rsna")
    runner.run(internal / "inbox", through="ablations")
    runner.run(rsna / "inbox", through="scores", cohort="rsna")
    told = summary(Console(width=160), hospital, settings.home / "study")
    told.say(f"The study took {time.monotonic() - started:.0f} s.")
    told.write(settings.home / "study" / "study.md")


def summary(console: Console, hospital: Hospital, folder: Path) -> Summary:
    """Print the tables in short, and keep them whole as CSV."""
    from sql.ask import ask

    folder.mkdir(parents=True, exist_ok=True)
    answers = {name: pl.DataFrame(ask(hospital.warehouse, name)) for name in QUESTIONS}
    for name, frame in answers.items():
        frame.write_csv(folder / f"{name}.csv")
    told = Summary(console)
    for title, frame in tables_of(answers):
        told.table(title, frame)
    console.print(f"All tables, whole: {folder}", highlight=False)
    told.say(
        "Minutes of CPU training are wiring, not science: read every gain with its interval and its trend over steps."
    )
    return told


def tables_of(answers: Mapping[str, pl.DataFrame]) -> list[tuple[str, pl.DataFrame]]:
    """Title and short table of every question."""
    return [
        (
            "Mean AUROC and its interval (sql encoder_comparison)",
            encoder_table(answers["encoder_comparison"]),
        ),
        (
            "What SpineFM gains over each encoder (sql encoder_comparison)",
            gains(answers["encoder_comparison"]),
        ),
        ("What each part adds (sql ablation_table)", ablations(answers["ablation_table"])),
        ("T1 less T2 (sql sequence_contrast)", contrasts(answers["sequence_contrast"])),
        (
            "Train vendor by test vendor, all conditions (sql vendor_matrix)",
            vendors(answers["vendor_matrix"]),
        ),
        ("From cohort to cohort (sql cohort_transfer)", cohorts(answers["cohort_transfer"])),
        ("Coverage and abstention (sql abstention)", abstentions(answers["abstention"])),
        ("Retrieval among test patients (sql retrieval_recall)", recall_table(answers["retrieval_recall"])),
        ("Slices and boxes (sql localization_scores)", localization_table(answers["localization_scores"])),
        ("Levels of test patients, AUROC (sql level_skill)", level_table(answers["level_skill"])),
        (
            "Saliency, chance in brackets (sql attribution_scores)",
            saliency_table(answers["attribution_scores"]),
        ),
        ("The 37 agents by kind (sql agent_scorecard)", scorecard_table(answers["agent_scorecard"])),
        ("Instruction data (sql instruction_mix)", mix_table(answers["instruction_mix"])),
        ("The held-out benchmark (sql benchmark_scores)", benchmark_table(answers["benchmark_scores"])),
        (
            "Drafts of test patients beside their reports (sql report_scores)",
            report_table(answers["report_scores"]),
        ),
    ]


def gains(rows: pl.DataFrame) -> pl.DataFrame:
    """Relative gain over every other encoder, best baseline marked."""
    known = rows.filter(pl.col("spinefm_gain").is_not_null())
    gain = with_interval("spinefm_gain", "spinefm_gain_low", "spinefm_gain_high")
    best = pl.when("best_baseline").then(pl.lit(" *")).otherwise(pl.lit(""))
    wide = known.with_columns((gain + best).alias("cell")).pivot(
        ["metric", "evaluation"], index=["sequence_set", "encoder", "head"], values="cell"
    )
    return wide.sort("sequence_set", "encoder", "head").rename(_plain(wide))


def ablations(rows: pl.DataFrame) -> pl.DataFrame:
    """Variant, reference and gain, a row a measure and evaluation."""
    known = rows.filter((pl.col("measure") != "auprc") & pl.col("value").is_not_null())
    return known.select(
        "question",
        "measure",
        "sequence_set",
        "evaluation",
        "variant",
        with_interval("value", "low", "high").alias("its value"),
        "reference",
        pl.col("reference_value").alias("of the reference"),
        with_interval("gain", "gain_low", "gain_high").alias("relative gain"),
        pl.col("n_studies").alias("n"),
    )


def contrasts(rows: pl.DataFrame) -> pl.DataFrame:
    """Held-out differences where they can be told."""
    known = rows.filter((pl.col("evaluation") == "test") & pl.col("difference").is_not_null())
    gap = with_interval("difference", "difference_low", "difference_high").alias("T1 less T2")
    return known.select("condition", "t1", "t2", gap, "expected", "agreement")


def vendors(rows: pl.DataFrame) -> pl.DataFrame:
    """Mean AUROC over every category, a row a train vendor."""
    known = rows.filter((pl.col("category") == "every") & pl.col("auroc").is_not_null())
    cell = with_interval("auroc", "auroc_low", "auroc_high")
    index = ["sequence_set", "train_vendor", "n_train_patients"]
    return known.with_columns(cell.alias("cell")).pivot("test_vendor", index=index, values="cell")


def cohorts(rows: pl.DataFrame) -> pl.DataFrame:
    """AUROC by condition and direction, with what is lost against training within."""
    known = rows.filter(pl.col("auroc").is_not_null())
    return known.select(
        "sequence_set",
        "train_cohort",
        "test_cohort",
        "condition",
        pl.col("n_test_studies").alias("n"),
        with_interval("auroc", "auroc_low", "auroc_high").alias("AUROC"),
        with_interval("difference", "difference_low", "difference_high").alias("to within"),
    )


def abstentions(rows: pl.DataFrame) -> pl.DataFrame:
    """Coverage by class beside what was promised."""
    known = rows.filter((pl.col("sequence_set") == "all") & pl.col("abstained").is_not_null())
    columns = [
        "condition",
        "nominal",
        "coverage_positive",
        "coverage_negative",
        "abstained",
        "accuracy",
        "n_positive",
    ]
    return known.select(*columns, "n_negative")


def _plain(frame: pl.DataFrame) -> dict[str, str]:
    """Names of pivoted columns without the braces that a pivot of two columns gives them."""
    return {
        name: name.strip("{}").replace('"', "").replace(",", " ") for name in frame.columns if "{" in name
    }


if __name__ == "__main__":
    main()
