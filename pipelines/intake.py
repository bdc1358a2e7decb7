"""Registering an inbox: which file belongs to which batch, and which batches have to run.

Belongs here: the one call that the sensor and the command line share. Does not belong here: reading files
(``spine_models.corpus.archive``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital


@dataclass(frozen=True)
class Registration:
    """What a look into an inbox brought.

    Args:
        batches: every batch that holds a file of this inbox, sorted.
        touched: those with files that are new or changed since the last look, sorted.
        files: files of this inbox in the ledger.
    """

    batches: list[str]
    touched: list[str]
    files: int


def register(hospital: Hospital, inbox: Path, *, cohort: str) -> Registration:
    """Scan an inbox into the ledger.

    Raises:
        InboxError: the folder is missing or empty, or the cohort name is not a plain lower-case word.
    """
    from spine_models.corpus.archive import scan_inbox

    inbox = inbox.absolute()
    before = hospital.ledger()
    after = scan_inbox(
        inbox,
        cohort=cohort,
        ledger=before,
        settings=hospital.numbers.archive,
        progress=reporter("scan", "files"),
    )
    mine = after.filter((pl.col("inbox") == str(inbox)) & (pl.col("cohort") == cohort))
    identity = ["cohort", "inbox", "relative_path", "size_bytes", "mtime_ns", "batch_key"]
    new = mine if before is None else mine.join(before, on=identity, how="anti")
    touched = set(new["batch_key"])
    if before is not None:
        # A report that waited for its study moves to the study's batch: the batch that it leaves must run too.
        known = before.filter((pl.col("inbox") == str(inbox)) & (pl.col("cohort") == cohort))
        touched |= set(known.join(mine, on=identity, how="anti")["batch_key"])
    tables = new.filter(
        (pl.col("kind") == "ehr") | pl.col("relative_path").str.contains(r"(?i)\.(csv|jsonl)$")
    )
    if not tables.is_empty():
        # Rows of a table concern studies of any batch: every batch of the cohort must see them.
        touched |= set(after.filter(pl.col("cohort") == cohort)["batch_key"])
    if not new.is_empty():
        hospital.write_ledger(after)
    return Registration(sorted(set(mine["batch_key"])), sorted(touched), mine.height)
