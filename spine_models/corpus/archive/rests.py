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
from spine_models.corpus.archive.inbox import as_ledger, cohort_of, is_named, studies_by_accession
from spine_models.corpus.archive.records import first_batches
from spine_models.corpus.archive.text_tables import normalised_accession, normalised_mrn

_FILE: Final = ("inbox", "relative_path", "size_bytes", "mtime_ns", "kind", "study_uid", "patient_id")
_NAMED: Final = ("batch_key", "cohort", "study_uid", "patient_id", "accession_number")

Row = dict[str, Any]


def fingerprints(ledger: pl.DataFrame, batches: Collection[str] | None = None) -> dict[str, str]:
    """32 hex digits per batch of a `LEDGER`, of all batches or of those named.

    They change with the batch's own files, with any report, EHR or annotation table of its cohort, with what its
    accession numbers and patients mean in the cohort, and with UIDs of its own that an earlier batch uses. They do
    not change with other studies that come, so that a new batch leaves the old ones as they are.
    """
    ledger = as_ledger(ledger)
    claimed = claimed_elsewhere(ledger)
    if batches is not None:
        ledger = ledger.filter(_cohort().is_in({cohort_of(batch) for batch in batches}))
    named = ledger.filter(is_named()).select(_NAMED).unique().sort(_NAMED).to_dicts()
    by_cohort: defaultdict[str, list[Row]] = defaultdict(list)
    by_batch: defaultdict[str, list[Row]] = defaultdict(list)
    for row in named:
        by_cohort[cohort_of(row["batch_key"])].append(row)
        by_batch[row["batch_key"]].append(row)
    study_of = {cohort: studies_by_accession(rows) for cohort, rows in by_cohort.items()}
    first_of = {cohort: first_batches(rows) for cohort, rows in by_cohort.items()}
    everyone = {cohort: _hash(map(repr, rows)) for cohort, rows in by_cohort.items()}
    all_tables = ledger.filter(_is_table()).with_columns(_cohort().alias("of"))
    tables = {of: _rows(own) for (of,), own in all_tables.partition_by("of", as_dict=True).items()}

    wanted = ledger if batches is None else ledger.filter(pl.col("batch_key").is_in(list(batches)))
    found: dict[str, str] = {}
    for (batch,), own in wanted.partition_by("batch_key", as_dict=True).items():
        cohort, ours = cohort_of(str(batch)), by_batch.get(str(batch), [])
        accessions = {normalised_accession(r["accession_number"]) for r in ours if r["accession_number"]}
        reports = own.filter(pl.col("kind") == "report")["relative_path"]
        accessions |= {normalised_accession(Path(path).stem) for path in reports}
        patients = {normalised_mrn(row["patient_id"]) for row in ours if row["patient_id"]}
        parts = [_rows(own), tables.get(cohort, "")]
        parts += [f"{a}\t{study_of.get(cohort, {}).get(a)}" for a in sorted(accessions)]
        parts += [f"{p}\t{first_of.get(cohort, {}).get(p)}" for p in sorted(patients)]
        parts.append(repr(claimed.filter(batch_key=str(batch)).rows()))
        if not own.filter(
            _is_table()
        ).is_empty():  # rows of nobody stay with their table, until somebody comes
            parts.append(everyone.get(cohort, ""))
        found[str(batch)] = _hash(parts)
    return found


def _cohort() -> pl.Expr:
    return pl.col("batch_key").str.replace(r"-\d+$", "")


def _rows(rows: pl.DataFrame) -> str:
    return rows.select("batch_key", *_FILE).sort("inbox", "relative_path").write_csv()


def _is_table() -> pl.Expr:
    suffix = pl.col("relative_path").str.contains(r"(?i)\.(csv|jsonl)$")
    return pl.col("kind").is_in(["ehr", "annotation"]) | ((pl.col("kind") == "report") & suffix)


def _hash(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:32]
