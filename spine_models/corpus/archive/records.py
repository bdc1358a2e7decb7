"""Reports and EHR rows of one batch, joined to its studies and patients.

Belongs here: which file and row concerns this batch, duplicates among text and table files, who owns a row.
Does not belong here: parsing (`text_tables`), cleaning or releasing text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import polars as pl

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive.folder import source_path
from spine_models.corpus.archive.instance import Examined, examine_table
from spine_models.corpus.archive.reasons import Reason
from spine_models.corpus.archive.studies import is_named, studies_by_accession
from spine_models.corpus.archive.text_tables import (
    ACCESSION_COLUMNS,
    MRN_COLUMNS,
    STUDY_UID_COLUMNS,
    ReportRow,
    TextTableError,
    cell_of,
    ehr_rows,
    normalised_accession,
    normalised_mrn,
    report_rows,
)

_FILE_ORDER: Final = ("batch_key", "inbox", "relative_path")

Row = dict[str, Any]
Key = tuple[str, str]
"""Kind (patient, study, accession) and value."""
Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Records:
    """Rows of one batch's table, and what became of the batch's own files by (inbox, relative path)."""

    rows: list[Row]
    files: dict[tuple[str, str], Examined]


def index_reports(cohort: pl.DataFrame, batch_key: str, settings: ArchiveSettings) -> Records:
    """``archive.REPORTS`` of a batch: texts of its own files, and rows of any table that name its studies.

    A row whose accession number names no study of the cohort, or several, has none and stays with its file.
    ``cohort`` is the ledger of the whole cohort.
    """
    named = named_rows(cohort)
    study_of = studies_by_accession(named)
    own_studies = {row["study_uid"] for row in named if row["batch_key"] == batch_key}
    reports = cohort.filter(kind="report").to_dicts()
    mine = [row for row in reports if row["batch_key"] == batch_key or not _is_text_file(row)]
    rows: list[Row] = []

    def take(row: Row, reports: Iterator[ReportRow]) -> list[Row]:
        own_file, taken = row["batch_key"] == batch_key, []
        for report in reports:
            accession, key = report.accession_number, key_of_report(report)
            study = study_of.get(key[1]) if key else None
            if study in own_studies or (study is None and own_file):
                taken.append(
                    {
                        "batch_key": batch_key,
                        "inbox": row["inbox"],
                        "relative_path": row["relative_path"],
                        "row": report.row,
                        "accession_number": accession,
                        "study_uid": study,
                        "report_text": report.report_text,
                    }
                )
        return taken

    files = {}
    for row, examined, taken in _unique(mine, report_rows, take, Reason.REPORT_UNREADABLE, settings):
        rows += taken
        if row["batch_key"] == batch_key:
            files[row["inbox"], row["relative_path"]] = examined
    return Records(rows, files)


def index_ehr(cohort: pl.DataFrame, batch_key: str, settings: ArchiveSettings) -> Records:
    """``archive.EHR`` of a batch: the rows of its patients from every table of the cohort.

    The first batch of a patient owns the row; a row of nobody known belongs to the batch of its file. The
    same row in a later export of the same table counts once. ``cohort`` is the ledger of the whole cohort.
    """
    named = named_rows(cohort)
    first_batch = first_batches(named)
    patients, patient_of_study = own_patients(named, batch_key), patients_of_studies(named)
    study_of = studies_by_accession(named)
    tables = cohort.filter(kind="ehr").to_dicts()
    rows: list[Row] = []
    seen: set[bytes] = set()

    def take(row: Row, lines: Iterator[dict[str, str | None]]) -> list[Row]:
        own_file, table, taken, new = (
            row["batch_key"] == batch_key,
            Path(row["relative_path"]).stem,
            [],
            set(),
        )
        for number, line in enumerate(lines, start=1):
            values = ehr_values(line)
            digest = ehr_digest(table, values)
            if digest in seen or digest in new:
                continue
            new.add(digest)
            patient = _patient_named(line, study_of, patient_of_study)
            known = patient in first_batch
            if patient in patients or (own_file and not known):
                taken.append(
                    {
                        "batch_key": batch_key,
                        "inbox": row["inbox"],
                        "relative_path": row["relative_path"],
                        "table": table,
                        "row": number,
                        "values_json": values,
                        "owner": not known or first_batch[patient] == batch_key,
                    }
                )
        seen.update(new)  # only now: a file that turns out unreadable has no rows
        return taken

    files = {}
    for row, examined, taken in _unique(tables, ehr_rows, take, Reason.EHR_UNREADABLE, settings):
        rows += taken
        if row["batch_key"] == batch_key:
            files[row["inbox"], row["relative_path"]] = examined
    return Records(rows, files)


def _unique(
    rows: Iterable[Row],
    parse: Callable[[Path], Iterator[Parsed]],
    take: Callable[[Row, Iterator[Parsed]], list[Row]],
    unreadable: Reason,
    settings: ArchiveSettings,
) -> Iterator[tuple[Row, Examined, list[Row]]]:
    """Each file in batch and path order, what it is and what was taken of it; copies are duplicates.

    Content is parsed once and piece by piece, so that memory holds what was taken and no more.
    """
    seen: set[tuple[str, str]] = set()
    for row in sorted(rows, key=lambda r: tuple(r[name] for name in _FILE_ORDER)):
        path = source_path(row["inbox"], row["relative_path"])
        examined = examine_table(path, settings)
        if examined.reason is not None:
            yield row, examined, []
            continue
        # The name of a text report says whose it is: the same text for two studies is two reports.
        name = normalised_accession(Path(row["relative_path"]).stem) if _is_text_file(row) else ""
        content = (examined.sha256 or "", name)
        if content in seen:
            yield row, _with_reason(examined, Reason.DUPLICATE_CONTENT), []
            continue
        seen.add(content)
        try:
            taken = take(row, parse(path))
        except FileNotFoundError:
            yield row, _with_reason(examined, Reason.VANISHED), []
        except (TextTableError, OSError, RecursionError, MemoryError):
            yield row, _with_reason(examined, unreadable), []
        else:
            yield row, examined, taken


def named_rows(cohort: pl.DataFrame) -> list[Row]:
    """Each (batch, study, patient, accession number) of the cohort once: as many as studies, not as files."""
    names = ("batch_key", "study_uid", "patient_id", "accession_number")
    return cohort.filter(is_named()).select(names).unique().sort(names).to_dicts()


def _with_reason(examined: Examined, reason: Reason) -> Examined:
    return Examined(examined.size_bytes, examined.sha256, reason)


def _is_text_file(row: Row) -> bool:
    return Path(row["relative_path"]).suffix.casefold() == ".txt"


def first_batches(named: Iterable[Row]) -> dict[str, str]:
    """First batch of every patient, by normalised id, of rows with ``batch_key`` and ``patient_id``."""
    first: dict[str, str] = {}
    for row in named:
        if row["patient_id"] is not None:
            patient, batch = normalised_mrn(row["patient_id"]), row["batch_key"]
            first[patient] = min(first.get(patient, batch), batch)
    return first


def own_patients(named: Iterable[Row], batch_key: str) -> set[str]:
    """Normalised ids of the patients of a batch, of `named_rows`."""
    return {normalised_mrn(r["patient_id"]) for r in named if r["patient_id"] and r["batch_key"] == batch_key}


def patients_of_studies(named: Iterable[Row]) -> dict[str, str]:
    """Normalised patient id by study UID, of `named_rows`."""
    return {row["study_uid"]: normalised_mrn(row["patient_id"]) for row in named if row["patient_id"]}


def key_of_ehr(line: Mapping[str, object]) -> Key | None:
    """What says whose an EHR row is: its medical record number, else its study, else its accession number."""
    mrn = cell_of(line, MRN_COLUMNS)
    if mrn is not None:
        return "patient", normalised_mrn(mrn)
    study = cell_of(line, STUDY_UID_COLUMNS)
    if study is not None:
        return "study", study
    accession = cell_of(line, ACCESSION_COLUMNS)
    return ("accession", normalised_accession(accession)) if accession else None


def key_of_report(report: ReportRow) -> Key | None:
    """What says whose a report is: its accession number."""
    accession = report.accession_number
    return ("accession", normalised_accession(accession)) if accession else None


def ehr_values(line: Mapping[str, str | None]) -> str:
    """The row as ``archive.EHR`` keeps it: its cells as JSON, in the file's column order."""
    return json.dumps(line, ensure_ascii=False)


def ehr_digest(table: str, values: str) -> bytes:
    """16 bytes that the same row of the same table has in every export."""
    return hashlib.blake2b(f"{table}\0{values}".encode("utf-8", "replace"), digest_size=16).digest()


def _patient_named(line: Row, study_of: dict[str, str], patient_of_study: dict[str, str]) -> str | None:
    match key_of_ehr(line):
        case ("patient", patient):
            return patient
        case ("study", study):
            return patient_of_study.get(study)
        case ("accession", accession):
            named = study_of.get(accession)
            return patient_of_study.get(named) if named else None
        case _:
            return None
