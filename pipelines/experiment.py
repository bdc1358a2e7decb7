"""``make study``: two phantom cohorts through the whole graph and its ablations, and the tables that come of it.

Belongs here: the study's size, the order of its runs, its summary. Does not belong here: any step of the graph, any
table's SQL (``sql/queries``). Everything is resumable: a second call goes on where the first one stopped.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import polars as pl
from rich.console import Console

from pipelines.demo import LOGGER, make_ready, show, write_phantom
from pipelines.runtime.profiles import Settings
from pipelines.runtime.resources import Hospital

PATIENTS: Final = 640
EXTERNAL_PATIENTS: Final = 160
SEED: Final = 601
QUESTIONS: Final = (
    ("encoder_comparison", "Encoders beside their baselines"),
    ("ablation_table", "What each part adds"),
    ("sequence_contrast", "T1 less T2, by condition"),
    ("vendor_matrix", "Trained on one vendor, tested on another"),
    ("cohort_transfer", "Trained on one cohort, tested on another"),
    ("subgroup_scores", "By age, sex and field strength"),
    ("abstention", "Coverage and abstention"),
    ("retrieval_recall", "Retrieval among test patients"),
    ("localization_scores", "Slices and boxes"),
    ("attribution_scores", "Saliency"),
)
"""Named queries, and what their tables are called."""


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
    runner.run(rsna / "inbox", through="reports", cohort="rsna")
    LOGGER.info("the study took %.0f s", time.monotonic() - started)
    summary(Console(width=150), hospital, settings.home / "study")


def summary(console: Console, hospital: Hospital, folder: Path) -> None:
    """Print the tables, and keep each as CSV."""
    from sql.ask import ask

    folder.mkdir(parents=True, exist_ok=True)
    for name, title in QUESTIONS:
        frame = pl.DataFrame(ask(hospital.warehouse, name))
        frame.write_csv(folder / f"{name}.csv")
        show(console, f"{title} (spineagent sql {name})", frame.head(60))
    console.print(f"All tables, whole: {folder}", highlight=False)
    console.print(
        "Minutes of CPU training are wiring, not science: read every gain with its interval and its trend over steps."
    )


if __name__ == "__main__":
    main()
