"""Registering an inbox: which file belongs to which batch, and which batches have to run.

Belongs here: the one call that the sensor and the command line share, and what it excludes meanwhile. Does not
belong here: reading files (``spine_models.corpus.archive``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.runtime.locks import exclusive
from pipelines.runtime.progress import reporter
from pipelines.runtime.resources import Hospital
from pipelines.runtime.storage import writing


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
    """Scan an inbox into the ledger; two registrations at once come one after the other.

    Raises:
        InboxError: the folder is missing or empty, or the cohort name is not a plain lower-case word.
        StorageError: the ledger cannot be written.
    """
    with alone(hospital, "ledger"):
        return _register(hospital, inbox.absolute(), cohort)


@contextmanager
def alone(hospital: Hospital, what: str) -> Iterator[None]:
    """Hold one of the installation's locks: ``ledger``, a batch, or ``models``."""
    folder = Path(hospital.home) / "locks"
    with writing(what):
        folder.mkdir(parents=True, exist_ok=True)
        lock = exclusive(folder / f"{what}.lock", what)
    with lock:
        yield


def _register(hospital: Hospital, inbox: Path, cohort: str) -> Registration:
    from spine_models.corpus.archive import scan_inbox

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
    new = mine if before is None else mine.join(before, on=identity, how="anti", nulls_equal=True)
    touched = set(new["batch_key"])
    if before is not None:
        # A report that waited for its study moves to the study's batch: the batch that it leaves must run too.
        known = before.filter((pl.col("inbox") == str(inbox)) & (pl.col("cohort") == cohort))
        touched |= set(known.join(mine, on=identity, how="anti", nulls_equal=True)["batch_key"])
    if before is not None:
        # Rows of a table concern studies of any batch; those whose index takes none of what is new are left alone.
        touched |= _resting_on_other_rows(before, after, cohort)
    if before is None or not after.equals(before):
        hospital.write_ledger(after)
    return Registration(sorted(set(mine["batch_key"])), sorted(touched), mine.height)


def _resting_on_other_rows(before: pl.DataFrame, after: pl.DataFrame, cohort: str) -> set[str]:
    """Batches of the cohort whose fingerprint a table changed; looked at only where some table is another one."""
    from spine_models.corpus.archive import fingerprints

    table = pl.col("kind").is_in(["ehr", "report", "annotation"])
    identity = ["cohort", "inbox", "relative_path", "size_bytes", "mtime_ns"]
    one, two = (
        rows.filter(table & (pl.col("cohort") == cohort)).select(identity) for rows in (before, after)
    )
    if one.equals(two):
        return set()
    batches = set(after.filter(pl.col("cohort") == cohort)["batch_key"])
    was, now = fingerprints(before, batches), fingerprints(after, batches)
    return {batch for batch in now if was.get(batch) != now[batch]}
