"""What the index of a batch rests on, as one fingerprint: equal as long as indexing again could bring nothing new.

Belongs here: which parts of the ledger bear on which batch. Does not belong here: reading files, running anything.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

import polars as pl

from spine_models.corpus.archive.conflicts import claimed_elsewhere
from spine_models.corpus.archive.folder import source_path
from spine_models.corpus.archive.inbox import as_ledger
from spine_models.corpus.archive.records import first_batches
from spine_models.corpus.archive.studies import is_named, studies_by_accession
from spine_models.corpus.archive.table_rows import is_table, is_text_table, taken
from spine_models.corpus.archive.text_tables import normalised_accession, normalised_mrn
from spine_models.domain import cohort_of

_FILE: Final = ("inbox", "relative_path", "size_bytes", "mtime_ns", "kind", "study_uid", "patient_id")
_NAMED: Final = ("batch_key", "cohort", "study_uid", "patient_id", "accession_number")

Row = dict[str, Any]


def fingerprints(ledger: pl.DataFrame, batches: Collection[str] | None = None) -> dict[str, str]:
    """32 hex digits per batch of a `LEDGER`, of all batches or of those named.

    They change with the batch's own files, with rows of any report, EHR or annotation table of its cohort that its
    index takes, with any table that could not be read, with what its accession numbers and patients mean in the
    cohort, and with UIDs of its own that an earlier batch uses. They do not change with other studies that come nor
    with rows of other patients, so that a new batch or table leaves the old ones as they are; nor, but for the batch
    that has the file, with the order of annotations.
    """
    ledger = as_ledger(ledger)
    claimed = claimed_elsewhere(ledger)
    wanted = set(ledger["batch_key"]) if batches is None else set(batches)
    found: dict[str, str] = {}
    of_cohort = ledger.with_columns(_cohort().alias("of"))
    for cohort in sorted({cohort_of(batch) for batch in wanted}):
        rows = of_cohort.filter(pl.col("of") == cohort).drop("of")
        found |= _of_cohort(rows, wanted, claimed)
    return found


def settled(ledger: pl.DataFrame, batch_key: str) -> bool:
    """Whether the report, EHR and annotation tables of a batch's cohort still are what the ledger holds of them.

    Asked after an index. One that was read while a table was being written may lack rows that stood in the table
    before and stand there again now, which no fingerprint can tell. An inbox that is away as a whole does not count.
    """
    own = _cohort() == cohort_of(batch_key)
    tables = as_ledger(ledger).filter(own & is_table() & pl.col("size_bytes").is_not_null())
    for inbox, path, size, mtime in tables.select(_FILE[:4]).iter_rows():
        try:
            status = source_path(inbox, path).lstat()
        except OSError:
            if Path(inbox).is_dir():
                return False
            continue
        if (status.st_size, status.st_mtime_ns) != (size, mtime):
            return False
    return True


def _of_cohort(cohort: pl.DataFrame, wanted: Collection[str], claimed: pl.DataFrame) -> dict[str, str]:
    rows = cohort.filter(is_named()).select(_NAMED).unique().sort(_NAMED).to_dicts()
    study_of, first_of = studies_by_accession(rows), first_batches(rows)
    by_batch: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_batch[row["batch_key"]].append(row)
    everyone = _hash(map(repr, rows))
    of_tables = taken(cohort)
    # What is known of these is that they are there: their rows may be anybody's.
    anybodys = _rows(of_tables.unread)
    holders = set(of_tables.unread["batch_key"])

    found: dict[str, str] = {}
    own_files = cohort.filter(pl.col("batch_key").is_in(list(wanted)))
    for (key,), own in own_files.partition_by("batch_key", as_dict=True).items():
        batch = str(key)
        ours = by_batch.get(batch, [])
        accessions = {normalised_accession(r["accession_number"]) for r in ours if r["accession_number"]}
        stems = [normalised_accession(Path(p).stem) for p in own.filter(kind="report")["relative_path"]]
        patients = {normalised_mrn(row["patient_id"]) for row in ours if row["patient_id"]}
        parts = [_rows(own), anybodys, of_tables.rows.get(batch, ""), repr(of_tables.repeats.get(batch))]
        parts += [f"{a}\t{study_of.get(a)}" for a in sorted({*accessions, *stems})]
        parts += [f"{p}\t{first_of.get(p)}" for p in sorted(patients)]
        parts.append(repr(claimed.filter(batch_key=batch).rows()))
        if batch in holders:  # rows of nobody stay with their table, until somebody comes
            parts.append(everyone)
        if "" in stems:  # a text named by no accession number is a copy of a table that has the same bytes
            parts.append(_rows(cohort.filter(is_text_table())))
        found[batch] = _hash(parts)
    return found


def _cohort() -> pl.Expr:
    return pl.col("batch_key").str.replace(r"-\d+$", "")


def _rows(rows: pl.DataFrame) -> str:
    return rows.select("batch_key", *_FILE).sort("inbox", "relative_path").write_csv()


def _hash(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:32]
