"""``make demo``: a phantom hospital through the whole graph, and what came of it.

Belongs here: the demo's numbers and its summary; the only reader of the phantom's truth outside tests and
benchmarks. Does not belong here: any step of the graph.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from pipelines.definitions import build_defs
from pipelines.home import open_instance
from pipelines.runner import Runner
from pipelines.runtime.profiles import Settings
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital

PATIENTS = 150
SEED = 7
LOGGER = logging.getLogger("spineagent")


def main(patients: int = PATIENTS, seed: int = SEED) -> None:
    """Write the phantom inbox where there is none, run the graph, print the summary."""
    started = time.monotonic()
    console = Console(width=110)
    settings = Settings()
    hospital = Hospital.from_settings(settings)
    source = settings.root.absolute() / "phantom"
    run_phantom(settings, hospital, source, patients=patients, seed=seed, through="reports")
    summary(console, hospital, source)
    console.print(f"\nThe whole graph took {time.monotonic() - started:.0f} s.")


def run_phantom(
    settings: Settings, hospital: Hospital, source: Path, *, patients: int, seed: int, through: str
) -> None:
    """Make key and phantom hospital where there are none, and take its inbox through a stage; progress to stderr."""
    runner = make_ready(settings, hospital)
    write_phantom(source, patients=patients, seed=seed)
    runner.run(source / "inbox", through=through)


def make_ready(settings: Settings, hospital: Hospital) -> Runner:
    """A runner that tells its progress on stderr; the key is made where there is none."""
    from spine_models.corpus.deid import new_key_file

    if not LOGGER.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("  %(message)s"))
        LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    if not settings.key_path.exists():
        new_key_file(settings.key_path)
    instance = open_instance(settings.dagster_home)
    return Runner(hospital, build_defs(hospital), instance, lambda line: LOGGER.info("%s", line))


def write_phantom(source: Path, *, patients: int, seed: int, layout: str = "hospital") -> None:
    """Write a phantom into a folder where there is none yet."""
    from spine_models.phantom import write_hospital

    if (source / "truth").is_dir():
        return
    started = time.monotonic()
    told = reporter("phantom", "patients")
    write_hospital(source, patients=patients, seed=seed, layout=layout, progress=told)
    LOGGER.info("phantom %s of %s patients: %.0f s", layout, patients, time.monotonic() - started)


def summary(console: Console, hospital: Hospital, source: Path) -> None:
    """Print counts, label confusion, the probe table, three drafts and where to look."""
    from sql.ask import ask

    def answer(question: str) -> pl.DataFrame:
        return pl.DataFrame(ask(hospital.warehouse, question))

    show(console, "What became of every file (spineagent sql file_ledger)", answer("file_ledger"))
    show(console, "Series by contrast and route (spineagent sql sequence_counts)", answer("sequence_counts"))
    show(console, "Sequences against the phantom's truth", sequence_accuracy(hospital, source / "truth"))
    show(console, "Rules labeller against the phantom's reports", label_confusion(hospital, source / "truth"))
    show(console, "Probes: mean AUROC (sql encoder_comparison)", encoder_table(answer("encoder_comparison")))
    console.print(
        "Minutes of CPU training are wiring, not science: read the encoder's row beside its baselines as it came out."
    )
    title = "Reports, images and slices of test patients find each other (sql retrieval_recall)"
    show(console, title, recall_table(answer("retrieval_recall")))
    title = "Slices and boxes of test patients (sql localization_scores)"
    show(console, title, localization_table(answer("localization_scores")))
    title = "Saliency over all conditions, beside random orders (sql attribution_scores)"
    show(console, title, saliency_table(answer("attribution_scores")))
    title = "Training of the encoders, before and after (sql training_health)"
    show(console, title, training_table(answer("training_health")))
    title = "Held-out studies and reports find each other, by chance in brackets (sql alignment_retrieval)"
    show(console, title, retrieval_table(answer("alignment_retrieval")))
    title = "Share of the T1 encoder, by layer (sql gate_trust)"
    show(console, title, gate_table(hospital))
    drafts = answer(
        "SELECT region, report_text FROM reports.drafts JOIN (SELECT study_key, count(*) FILTER (status = 'present') "
        "AS present FROM agents.claims GROUP BY study_key) USING (study_key) QUALIFY row_number() OVER "
        "(PARTITION BY region ORDER BY present DESC, study_key) = 1 ORDER BY region LIMIT 3"
    )
    for region, text in drafts.rows():
        console.rule(f"a drafted {region} report")
        console.print(text, markup=False, highlight=False)
    console.rule("where to look")
    console.print(f"lake       {hospital.lake.root}", highlight=False)
    console.print(f"warehouse  {hospital.warehouse}   (any DuckDB client, read-only)", highlight=False)
    pages = sorted(hospital.lake.folder(("reports", "pages")).glob("*/*/index.html"))
    if pages:
        console.print(f"drafts     {pages[-1]}", highlight=False)
    console.print("questions  .venv/bin/spineagent sql")
    console.print("UI         make ui")


def show(console: Console, title: str, frame: pl.DataFrame) -> None:
    """Print a frame as a table; floats to three places."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left")
    for row in frame.rows():
        table.add_row(*("–" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in row))
    console.print(table)


def sequence_accuracy(hospital: Hospital, truth: Path) -> pl.DataFrame:
    """Series right, abstained and wrong by maker, of the released ones."""
    from spine_models.corpus.deid import Pseudonymizer

    known = pl.read_csv(truth / "series.csv", infer_schema_length=None).unique("series_instance_uid")
    names = Pseudonymizer(hospital.key())
    keys = {uid: names.key_of_uid(uid) for uid in known["series_instance_uid"]}
    known = known.select(
        "vendor", truth="contrast", series_key=pl.col("series_instance_uid").replace_strict(keys)
    )
    found = hospital.lake.read_table(
        ("sequences", "series"), hospital.lake.partitions(("sequences", "series"))
    )
    right = pl.col("contrast") == pl.col("truth")
    return (
        found.select("series_key", "contrast", "abstained").join(known, on="series_key")
        .group_by("vendor")
        .agg(
            series=pl.len(), right=(right & ~pl.col("abstained")).sum(),
            abstained=pl.col("abstained").sum(), wrong=(~right & ~pl.col("abstained")).sum(),
        )
        .sort("vendor")
    )  # fmt: skip


def label_confusion(hospital: Hospital, truth: Path) -> pl.DataFrame:
    """Status in the phantom's reports (rows) against the label given, over all conditions."""
    from spine_models.corpus.deid import Pseudonymizer

    findings = pl.read_csv(truth / "findings.csv", infer_schema_length=None)
    names = Pseudonymizer(hospital.key())
    keys = {uid: names.key_of_uid(uid) for uid in findings["study_instance_uid"].unique()}
    order = {"present": 3, "ambiguous": 2, "absent": 1, "not_mentioned": 0}
    worst = (
        findings.with_columns(
            study_key=pl.col("study_instance_uid").replace_strict(keys),
            rank=pl.col("status").replace_strict(order, return_dtype=pl.Int32),
        )
        .sort("rank", descending=True)
        .unique(["study_key", "condition"], keep="first", maintain_order=True)
    )
    labels = hospital.lake.read_table(
        ("labels", "consensus"), hospital.lake.partitions(("labels", "consensus"))
    )
    joined = labels.select("study_key", "condition", labelled="status").join(
        worst, on=["study_key", "condition"]
    )
    table = joined.group_by("status", "labelled").len("n").pivot("labelled", index="status", values="n")
    columns = [name for name in order if name in table.columns]
    return (
        table.select("status", *columns).fill_null(0)
        .sort(pl.col("status").replace_strict(order, return_dtype=pl.Int32), descending=True)
        .rename({"status": "truth \\ labelled"})
    )  # fmt: skip


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


def gate_table(hospital: Hospital) -> pl.DataFrame:
    """Mean share of the T1 encoder by contrast, one column a layer."""
    gates = hospital.lake.read_table(("synthesizer", "gates"), [None])
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


def saliency_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Deletion, insertion, pointing and mass of every method, chance in brackets."""
    known = rows.filter((pl.col("condition") == "all") & pl.col("value").is_not_null())
    value, chance = (pl.col(name).round(3).cast(pl.String) for name in ("value", "chance"))
    cells = known.with_columns(cell=pl.format("{} ({})", value, chance.fill_null("–")))
    return cells.pivot("measure", index=["method", "n"], values="cell")


def with_interval(value: str, low: str, high: str) -> pl.Expr:
    """``0.61 [0.55 0.66]``; null where there is no value."""
    parts = [
        pl.col(name).map_elements(lambda v: f"{v:.2f}", return_dtype=pl.String) for name in (value, low, high)
    ]
    return pl.format("{} [{} {}]", *parts)


if __name__ == "__main__":
    main()
