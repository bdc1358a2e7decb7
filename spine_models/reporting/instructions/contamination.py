"""Whether anything of a held-out patient, or of the benchmark, stands among the instruction items.

Belongs here: the rules and what they count. Does not belong here: keeping it out (``cases``, ``build``); this is the
proof, made from the tables as they were written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

from spine_models.domain import Split
from spine_models.reporting.instructions.alike import alike
from spine_models.reporting.instructions.build import REPORT_RUN, content_of, item_text
from spine_models.reporting.instructions.tables import CONTAMINATION

ITEM_RUN: Final = 3
"""Words in a run when items are compared."""

_NEVER: Final = (Split.TEST.value, Split.OUTSIDE.value)
"""Splits whose patients train nothing."""

MEANING: Final = {
    "item_patients_are_frozen": "patients of items whom the frozen ledger does not let train",
    "item_patients_are_not_held_out": "patients of items whom any ledger holds out",
    "benchmark_patients_are_test": "patients of the benchmark who are not test, or whom a ledger lets train",
    "no_common_patients": "patients in items and benchmark",
    "no_common_studies": "studies in items and benchmark",
    "studies_have_one_patient": "studies of items that the reports give to another patient",
    "no_common_texts": "items whose words stand in the benchmark, whichever way they are written",
    "no_similar_texts": "items whose words are nearly those of a benchmark item",
    "no_similar_reports": "reports behind items that are nearly those of a held-out patient",
}


def contamination(
    items: pl.DataFrame,
    benchmark: pl.DataFrame,
    *,
    reports: pl.DataFrame,
    ledger: pl.DataFrame,
    splits: pl.DataFrame,
    threshold: float,
) -> pl.DataFrame:
    """Count every overlap; ``CONTAMINATION``, one row a rule, each to be 0.

    Args:
        items: ``ITEMS``.
        benchmark: ``BENCHMARK``.
        reports: ``deid.REPORTS`` of all batches.
        ledger: ``shards.PATIENTS``, the freeze.
        splits: ``shards.SPLITS`` of all batches.
        threshold: least Jaccard index of texts that are too much alike.
    """
    may_train = set(ledger.filter(pl.col("may_train"))["patient_key"])
    test = held_out_patients(ledger, splits)
    ours, theirs = set(items["patient_key"]), set(benchmark["patient_key"])
    # A patient whose slices all lie outside is called so by the freeze, whatever the split for ever.
    other = {
        p for frame in (ledger, splits) for p in frame.filter(~pl.col("split").is_in(_NEVER))["patient_key"]
    }
    studies, held = set(items["study_key"]), set(benchmark["study_key"])
    owners = items.select("study_key", "patient_key").unique()
    moved = owners.join(reports, on="study_key", suffix="_told").filter(
        pl.col("patient_key") != pl.col("patient_key_told")
    )
    texts = {str(n): item_text(row) for n, row in enumerate(items.iter_rows(named=True))}
    asked = {str(n): item_text(row) for n, row in enumerate(benchmark.iter_rows(named=True))}
    common = set(asked.values())
    near = alike(texts, asked, threshold=threshold, size=ITEM_RUN)
    own = _contents(reports, items["report_key"].unique().to_list(), "report_key")
    kept = _contents(reports, list(test), "patient_key")
    similar = alike(own, kept, threshold=threshold, size=REPORT_RUN)
    counted: dict[str, tuple[int, int, int]] = {
        "item_patients_are_frozen": (len(ours), len(may_train), len(ours - may_train)),
        "item_patients_are_not_held_out": (len(ours), len(test), len(ours & test)),
        "benchmark_patients_are_test": (len(theirs), len(test), len((theirs - test) | (theirs & other))),
        "no_common_patients": (len(ours), len(theirs), len(ours & theirs)),
        "no_common_studies": (len(studies), len(held), len(studies & held)),
        "studies_have_one_patient": (len(studies), len(studies), moved["study_key"].n_unique()),
        "no_common_texts": (len(texts), len(asked), sum(text in common for text in texts.values())),
        "no_similar_texts": (len(texts), len(asked), len({key for key, _, _ in near})),
        "no_similar_reports": (len(own), len(kept), len({key for key, _, _ in similar})),
    }
    rows = [(rule, MEANING[rule], *numbers) for rule, numbers in counted.items()]
    return pl.DataFrame(rows, schema=CONTAMINATION, orient="row")


def held_out_patients(ledger: pl.DataFrame, splits: pl.DataFrame) -> set[str]:
    """Patients whom the freeze or today's ledger holds out as test."""
    frames: Collection[pl.DataFrame] = (ledger, splits)
    return {patient for frame in frames for patient in frame.filter(split=Split.TEST.value)["patient_key"]}


def _contents(reports: pl.DataFrame, keys: list[str], column: str) -> Mapping[str, str]:
    chosen = reports.filter(pl.col(column).is_in(keys)).select("report_key", "report_text")
    return {key: content_of(text or "") for key, text in chosen.iter_rows()}
