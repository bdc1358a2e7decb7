"""Registration of an inbox: which file belongs to which batch, remembered in the ledger.

Belongs here: finding what is new, resolving files to studies, giving studies to batches for ever.
Does not belong here: checking or indexing content (`batch`), running anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive.conflicts import uid_hash
from spine_models.corpus.archive.folder import Entry, Progress, list_entries, read_all, source_path
from spine_models.corpus.archive.instance import identify
from spine_models.corpus.archive.reasons import InboxError
from spine_models.corpus.archive.studies import is_named, studies_by_accession
from spine_models.corpus.archive.table_rows import with_tables_read
from spine_models.corpus.archive.tables import LEDGER
from spine_models.corpus.archive.text_tables import (
    TextTableError,
    normalised_accession,
    normalised_mrn,
    report_rows,
)

_COHORT: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")
_ORDER: Final = ("cohort", "inbox", "relative_path")
_UNCHANGED: Final = ("relative_path", "size_bytes", "mtime_ns")
_IDENTITY: Final = ("cohort", "study_uid", "accession_number", "batch_key")

Row = dict[str, Any]


def scan_inbox(
    inbox: Path,
    *,
    cohort: str,
    ledger: pl.DataFrame | None,
    settings: ArchiveSettings,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """The whole new `LEDGER`: rows of other inboxes and of unchanged files as they were, and what is new.

    A file with the same path, size and modification time is not opened again. Files of a study that the
    ledger knows go to its batch, whichever cohort saw it first; new studies fill new batches of the cohort, those of
    one patient next to each other. A report waiting without its study moves to the study's batch when that
    comes. Rows of files that have gone stay, without size and time, and are rejected as vanished when their batch
    runs; files below a folder that cannot be listed at the moment have not gone. Tables that are new or
    changed are read once, for whose rows they hold.

    Args:
        inbox: folder as a site drops it (``dicom``, ``reports``, ``ehr``, ``annotations``, or DICOM only).
        cohort: name that begins the batch keys, ``<cohort>-0001``.
        ledger: what an earlier scan returned, null for the first.
        settings: `batch_studies` and `workers` are used.
        progress: called with (files read, files to read).

    Raises:
        InboxError: the folder is missing, cannot be listed or holds no file, or the cohort name is not plain.
    """
    if not _COHORT.fullmatch(cohort):
        raise InboxError(
            "the cohort name must be a lower-case letter, then at most 30 lower-case letters, digits or "
            "underscores, for example internal"
        )
    entries = _entries(inbox)
    folder = str(inbox.absolute())
    old = pl.DataFrame(schema=LEDGER) if ledger is None else as_ledger(ledger)
    # Also what is read again now: a study stays in its batch, and a number is never given twice.
    known = old.filter(pl.col("study_uid").is_not_null()).select(_IDENTITY).unique().to_dicts()
    last = max((_number(batch, cohort) for batch in old["batch_key"].unique()), default=0)
    new = _without_known(entries, old.filter(inbox=folder))
    old = old.filter(
        (pl.col("inbox") != folder) | ~pl.col("relative_path").is_in([e.relative_path for e in new])
    )
    old = _with_gone_marked(old, folder, entries)
    # At the scale of millions of files only what is new, and the reports, become Python objects.
    may_move = (pl.col("cohort") == cohort) & (pl.col("kind") == "report")
    reports = old.filter(may_move).to_dicts()
    present = old.filter(is_named()).select(_IDENTITY).unique().to_dicts()

    found = _read_new(new, folder, cohort, settings, progress)
    batch_of_study = {row["study_uid"]: row["batch_key"] for row in known}
    fresh = _new_batches(found, batch_of_study, cohort=cohort, last=last, size=settings.batch_studies)
    batch_of_study |= fresh
    for row in found:
        row["batch_key"] = batch_of_study.get(row["study_uid"])
    named = [row for row in (*present, *found) if row["study_uid"] is not None and row["cohort"] == cohort]
    default = next(iter(fresh.values())) if fresh else f"{cohort}-{max(last, 1):04d}"
    _place_rest([*reports, *found], studies_by_accession(named), batch_of_study, default)
    rows = pl.DataFrame([*reports, *found], schema=LEDGER)
    everything = pl.concat([old.filter(~may_move), rows]).sort(_ORDER)
    return with_tables_read(everything, folder, settings)


def mostly_gone(inbox: Path, ledger: pl.DataFrame) -> bool:
    """Whether more than half of an inbox's files that the ledger knows as present have gone; opens none.

    Files below a folder that cannot be listed at the moment have not gone.

    Raises:
        InboxError: the folder is missing, cannot be listed or holds no file.
    """
    mine = as_ledger(ledger).filter(
        pl.col("inbox") == str(inbox.absolute()), pl.col("size_bytes").is_not_null()
    )
    after = _with_gone_marked(mine, str(inbox.absolute()), _entries(inbox))
    return 2 * after["size_bytes"].null_count() > after.height


def as_ledger(ledger: pl.DataFrame) -> pl.DataFrame:
    """A ledger of an earlier version with the columns of this one; what it did not record is null."""
    absent = [pl.lit(None, dtype).alias(name) for name, dtype in LEDGER.items() if name not in ledger.columns]
    return ledger.with_columns(absent).select(LEDGER.names()).cast(LEDGER)


def _entries(inbox: Path) -> list[Entry]:
    if not inbox.is_dir():
        raise InboxError("the inbox is not a folder that exists: check the path given")
    try:
        entries = list_entries(inbox)
    except OSError:
        raise InboxError("the inbox cannot be listed: check its permissions") from None
    if not entries:
        raise InboxError("the inbox holds no files: drop DICOM into it, at any depth, and run again")
    return entries


def _without_known(entries: Sequence[Entry], known: pl.DataFrame) -> list[Entry]:
    seen = {path: (size, mtime) for path, size, mtime in known.select(_UNCHANGED).iter_rows()}
    return [e for e in entries if seen.get(e.relative_path) != (e.size_bytes, e.mtime_ns)]


def _with_gone_marked(old: pl.DataFrame, folder: str, entries: Sequence[Entry]) -> pl.DataFrame:
    gone = (pl.col("inbox") == folder) & ~pl.col("relative_path").is_in([e.relative_path for e in entries])
    for entry in entries:
        if entry.closed_folder:
            gone &= ~pl.col("relative_path").str.starts_with(f"{entry.relative_path}/")
    return old.with_columns(
        pl.when(~gone).then(pl.col(name)).alias(name) for name in ("size_bytes", "mtime_ns")
    )


def _read_new(
    new: Sequence[Entry], folder: str, cohort: str, settings: ArchiveSettings, progress: Progress | None
) -> list[Row]:
    unnamed = [entry for entry in new if entry.kind is None]
    paths = [source_path(folder, entry.relative_path) for entry in unnamed]
    identities = read_all(identify, paths, settings, progress)
    identity_of = {e.relative_path: i for e, i in zip(unnamed, identities, strict=True)}
    rows = []
    for entry in new:
        row: Row = dict.fromkeys(LEDGER.names())
        row |= {
            "cohort": cohort,
            "inbox": folder,
            "relative_path": entry.relative_path,
            "size_bytes": entry.size_bytes,
            "mtime_ns": entry.mtime_ns,
            "kind": entry.kind,
        }
        identity = identity_of.get(entry.relative_path)
        if identity is not None:
            row |= {
                "kind": "dicom" if identity.is_dicom else "other",
                "study_uid": identity.study_uid,
                "patient_id": identity.patient_id,
                "issuer_of_patient_id": identity.issuer_of_patient_id,
                "accession_number": identity.accession_number,
                "series_hash": uid_hash(identity.series_uid),
                "sop_hash": uid_hash(identity.sop_uid),
            }
        rows.append(row)
    return rows


def _new_batches(
    found: Sequence[Row], known: Mapping[str, str], *, cohort: str, last: int, size: int
) -> dict[str, str]:
    """Batch per new study: patients in the order of their first file, each with all of their new studies."""
    studies_of_patient: dict[str, dict[str, None]] = {}
    patient_of_study: dict[str, str] = {}
    for row in found:
        study = row["study_uid"]
        if study is None or study in known:
            continue
        named = row["patient_id"]
        patient = patient_of_study.setdefault(study, normalised_mrn(named) if named else f" {study}")
        studies_of_patient.setdefault(patient, {})[study] = None
    ordered = [study for studies in studies_of_patient.values() for study in studies]
    return {study: f"{cohort}-{last + 1 + i // size:04d}" for i, study in enumerate(ordered)}


def _place_rest(
    rows: Iterable[Row], study_of: Mapping[str, str], batch_of_study: Mapping[str, str], default: str
) -> None:
    """Give files without a study of their own the batch of the study that they name, else the default one."""
    for row in rows:
        if row["kind"] == "report":
            study = _study_named(row, study_of)
            row["batch_key"] = batch_of_study[study] if study else row["batch_key"] or default
        elif row["batch_key"] is None:
            row["batch_key"] = default


def _study_named(row: Row, study_of: Mapping[str, str]) -> str | None:
    """The first study that a report file names; a table is read only when it is new."""
    path = Path(row["relative_path"])
    if path.suffix.casefold() == ".txt":
        return study_of.get(normalised_accession(path.stem))
    if row["batch_key"] is not None:
        return None
    try:
        named = (report.accession_number for report in report_rows(source_path(row["inbox"], str(path))))
        return next((study_of[a] for n in named if n and (a := normalised_accession(n)) in study_of), None)
    except (TextTableError, OSError):
        return None


def _number(batch_key: str, cohort: str) -> int:
    name, _, number = batch_key.rpartition("-")
    return int(number) if name == cohort and number.isdecimal() else 0
