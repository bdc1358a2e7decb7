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

from pipelines.definitions import build_defs
from pipelines.home import open_instance
from pipelines.runner import Runner
from pipelines.runtime.profiles import Settings
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from pipelines.summaries import (
    Summary,
    benchmark_table,
    encoder_table,
    gate_table,
    level_table,
    localization_table,
    mix_table,
    recall_table,
    report_table,
    retrieval_table,
    saliency_table,
    scorecard_table,
    training_table,
)
from pipelines.three_drafts import show, three_drafts

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
    run_phantom(settings, hospital, source, patients=patients, seed=seed, through="scores")
    told = summary(console, hospital, source)
    told.say(f"\nThe whole graph took {time.monotonic() - started:.0f} s.")
    told.write(settings.home / "demo.md")


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


def summary(console: Console, hospital: Hospital, source: Path) -> Summary:
    """Print counts, what was read against the truth, scores, three drafts and where to look."""
    from sql.ask import ask

    def answer(question: str) -> pl.DataFrame:
        return pl.DataFrame(ask(hospital.warehouse, question))

    told = Summary(console)
    gates = hospital.lake.read_table(("synthesizer", "gates"), [None])
    told.table("What became of every file (spineagent sql file_ledger)", answer("file_ledger"))
    told.table("Series by contrast and route (spineagent sql sequence_counts)", answer("sequence_counts"))
    told.table("Sequences against the phantom's truth", sequence_accuracy(hospital, source / "truth"))
    told.table("Rules labeller against the phantom's reports", label_confusion(hospital, source / "truth"))
    told.table("Probes: mean AUROC (sql encoder_comparison)", encoder_table(answer("encoder_comparison")))
    told.say(
        "Minutes of CPU training are wiring, not science: read the encoder's row beside its baselines as it came out."
    )
    for title, frame in (
        (
            "Reports, images and slices of test patients find each other (sql retrieval_recall)",
            recall_table(answer("retrieval_recall")),
        ),
        (
            "Slices and boxes of test patients (sql localization_scores)",
            localization_table(answer("localization_scores")),
        ),
        ("Levels of test patients, AUROC (sql level_skill)", level_table(answer("level_skill"))),
        (
            "Saliency over all conditions, beside random orders (sql attribution_scores)",
            saliency_table(answer("attribution_scores")),
        ),
        (
            "Training of the encoders, before and after (sql training_health)",
            training_table(answer("training_health")),
        ),
        (
            "Held-out studies and reports find each other, by chance in brackets (sql alignment_retrieval)",
            retrieval_table(answer("alignment_retrieval")),
        ),
        ("Share of the T1 encoder, by layer (sql gate_trust)", gate_table(gates)),
        ("The 37 agents by kind (sql agent_scorecard has each)", scorecard_table(answer("agent_scorecard"))),
        ("Instruction data (sql instruction_mix)", mix_table(answer("instruction_mix"))),
        ("The held-out benchmark (sql benchmark_scores)", benchmark_table(answer("benchmark_scores"))),
        (
            "Drafts of test patients beside their reports (sql report_scores)",
            report_table(answer("report_scores")),
        ),
    ):
        told.table(title, frame)
    show(console, three_drafts(hospital, source / "truth"))
    console.rule("where to look")
    console.print(f"lake       {hospital.lake.root}", highlight=False)
    console.print(f"warehouse  {hospital.warehouse}   (any DuckDB client, read-only)", highlight=False)
    pages = sorted(hospital.lake.folder(("reports", "pages")).glob("*/*/index.html"))
    if pages:
        console.print(f"drafts     {pages[-1]}", highlight=False)
    console.print("questions  .venv/bin/spineagent sql")
    console.print("UI         make ui")
    return told


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


if __name__ == "__main__":
    main()
