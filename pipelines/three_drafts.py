"""Three drafted reports of test patients with the phantom's truth beside them: what ``make demo`` ends with.

Chosen by the truth and by what was acquired, never by how well the draft came out: a study without any planted finding,
the one with the most, and the one that lacks most sequences.

Belongs here: choosing and printing. Does not belong here: wording (``spine_models.reporting.reports``), scores.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipelines.runtime.resources import Hospital
from spine_models.domain import conditions

WIDTH: Final = 156
NORMAL: Final = "a study without findings"
FINDINGS: Final = "the study with the most findings"
MISSING: Final = "the study that lacks most sequences"


@dataclass(frozen=True)
class Shown:
    """One draft and what is known of its study.

    Attributes:
        title: why it was chosen.
        study_key: of the draft.
        text: of the draft.
        truth: what was planted, a line each; empty for a normal spine.
        page: HTML page of the draft; None where it was not written.
    """

    title: str
    study_key: str
    text: str
    truth: tuple[str, ...]
    page: Path | None


def three_drafts(hospital: Hospital, truth: Path) -> list[Shown]:
    """The three, of test patients; fewer where there is no such study.

    Args:
        hospital: with drafts.
        truth: the phantom's truth folder.
    """
    lake = hospital.lake

    def table(stage: str, thing: str) -> pl.DataFrame:
        return lake.read_table((stage, thing), lake.partitions((stage, thing)))

    held_out = table("shards", "splits").filter(pl.col("split") == "test")
    drafts = table("reports", "drafts").join(
        held_out.select("patient_key").unique(), on="patient_key", how="semi"
    )
    sequences = (
        table("shards", "slices")
        .group_by("study_key")
        .agg(sequences=pl.struct("contrast", "plane").n_unique())
    )
    planted = planted_findings(hospital, truth)
    counted = (
        drafts.filter(pl.col("region").is_in(["cervical", "thoracic", "lumbar"]))
        .join(planted.group_by("study_key").agg(planted=pl.len()), on="study_key", how="left")
        .join(sequences, on="study_key", how="left")
        .with_columns(pl.col("planted", "sequences").fill_null(0))
        .sort("study_key")
    )
    pages = {page.stem: page for page in sorted(lake.folder(("reports", "pages")).glob("*/*/*.html"))}
    chosen: list[Shown] = []
    for title, ordered in (
        (
            NORMAL,
            counted.filter(pl.col("planted") == 0).sort("sequences", descending=True, maintain_order=True),
        ),
        (
            FINDINGS,
            counted.filter(pl.col("planted") > 0).sort("planted", descending=True, maintain_order=True),
        ),
        (MISSING, counted.sort("sequences", maintain_order=True)),
    ):
        left = ordered.filter(~pl.col("study_key").is_in([one.study_key for one in chosen]))
        for row in left.head(1).iter_rows(named=True):
            key = row["study_key"]
            lines = planted.filter(pl.col("study_key") == key)["line"].to_list()
            chosen.append(Shown(title, key, row["report_text"], tuple(lines), pages.get(key)))
    return chosen


def planted_findings(hospital: Hospital, truth: Path) -> pl.DataFrame:
    """study_key and a line of words for every finding that was planted."""
    from spine_models.corpus.deid import Pseudonymizer

    found = pl.read_csv(truth / "findings.csv", infer_schema_length=None).filter(pl.col("planted"))
    names = Pseudonymizer(hospital.key())
    keys = {uid: names.key_of_uid(uid) for uid in found["study_instance_uid"].unique()}
    called = {one.key: re.sub(r" \(.*?\)", "", one.name).split(",")[0].lower() for one in conditions()}
    named = pl.col("condition").replace_strict(called, return_dtype=pl.String)
    words = pl.concat_str(
        [pl.col("severity").cast(pl.String), pl.col("side").cast(pl.String), named],
        separator=" ",
        ignore_nulls=True,
    )
    place = pl.when(pl.col("level").is_not_null()).then(pl.format(" at {}", "level")).otherwise(pl.lit(""))
    return found.select(
        study_key=pl.col("study_instance_uid").replace_strict(keys, return_dtype=pl.String),
        line=words + place,
    )


def show(console: Console, drafts: list[Shown]) -> None:
    """Draft left, truth right, the page below."""
    wide = Console(width=WIDTH, file=console.file, record=console.record)
    for one in drafts:
        wide.rule(f"{one.title}: draft for research, beside the truth of the phantom")
        beside = Table.grid(padding=(0, 1))
        beside.add_column(width=106)
        beside.add_column(width=WIDTH - 110)
        truth = "\n".join(one.truth) or "no finding"
        beside.add_row(Panel(Text(one.text.rstrip())), Panel(Text(truth), title="truth"))
        wide.print(beside)
        if one.page is not None:
            wide.print(f"page  {one.page}", markup=False, highlight=False, soft_wrap=True)
