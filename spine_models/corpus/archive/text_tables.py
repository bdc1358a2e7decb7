"""Reports and EHR exports as a site writes them: unknown encoding, delimiter and quoting.

Belongs here: turning one text, csv or jsonl file into rows, or into one of two errors that name no value.
Does not belong here: whose rows they are, or what may leave the restricted zone.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, TextIO

from spine_models.corpus.archive.text_files import MAX_LINE_BYTES, TextTableError, open_text, read_text

__all__ = ["TextTableError", "open_text", "read_text"]

ACCESSION_COLUMNS: Final = ("accession_number", "accession", "accession_no")
TEXT_COLUMNS: Final = ("report_text", "report", "text")
MRN_COLUMNS: Final = ("mrn", "patient_id", "patientid")
STUDY_UID_COLUMNS: Final = ("study_instance_uid", "study_uid", "studyinstanceuid")

_DELIMITERS: Final = (",", ";", "\t", "|")


@dataclass(frozen=True)
class ReportRow:
    """One report; `row` is 0 for a text file, and counts data rows from 1 in csv and jsonl."""

    row: int
    accession_number: str | None
    report_text: str


def read_reports(path: Path) -> list[ReportRow]:
    """Reports of a ``.txt`` (accession number in its name), ``.csv`` or ``.jsonl`` file; errors as `report_rows`."""
    return list(report_rows(path))


def report_rows(path: Path) -> Iterator[ReportRow]:
    """As `read_reports`, one at a time; what is wrong with a file may only show after some of its rows.

    Raises:
        TextTableError: no readable report in it, a column that is missing, a row that does not fit.
        OSError: cannot be read.
    """
    suffix, any_row = path.suffix.casefold(), False
    if suffix in (".csv", ".jsonl"):
        with open_text(path) as text:
            numbered = enumerate(table_rows(text), start=1) if suffix == ".csv" else _json_lines(text)
            for row in _report_rows(numbered):
                any_row = True
                yield row
    elif text := read_text(path).strip():
        any_row = True
        yield ReportRow(0, path.stem.strip() or None, text)
    if not any_row:
        raise TextTableError("the file holds no report")


def ehr_rows(path: Path) -> Iterator[dict[str, str | None]]:
    """Rows of an EHR export, one at a time.

    Raises:
        TextTableError: as `table_rows`, and where no column says whose a row is: without a header line the first
            patient's values would pass for names of columns.
        OSError: cannot be read.
    """
    whose = {*MRN_COLUMNS, *STUDY_UID_COLUMNS, *ACCESSION_COLUMNS}
    with open_text(path) as text:
        for row in table_rows(text):
            if whose.isdisjoint(name.strip().casefold() for name in row):
                raise TextTableError("no column says whose the rows are")
            yield row


def table_rows(text: str | TextIO) -> Iterator[dict[str, str | None]]:
    """Rows of a delimited table with a header line, empty cells as null, in the order of its columns.

    Raises:
        TextTableError: no header, a doubled or unnamed column, a row of another length, broken quoting.
    """
    lines = iter(io.StringIO(text, newline="") if isinstance(text, str) else text)
    first_line = next((line for line in lines if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first_line.count)  # the first one, a comma, where none is there
    # A long field is legal, and the reader's own limit is global to the process.
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(chain([first_line.lstrip(" ")], lines), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                if "" in header or len({name.casefold() for name in header}) < len(header):
                    raise TextTableError("a column of the table has no name, or two have the same")
                continue
            if len(cells) != len(header):
                raise TextTableError(f"data row before line {reader.line_num} has another number of cells")
            yield {name: _cell(cell) for name, cell in zip(header, cells, strict=True)}
    except csv.Error:
        raise TextTableError(f"quoting of the table is broken before line {reader.line_num}") from None
    if header is None:
        raise TextTableError("the table has no header")


def _cell(cell: str) -> str | None:
    return cell.replace("\r\n", "\n").replace("\r", "\n").strip() or None


def cell_of(row: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    """The first non-empty cell whose column has one of the names, in any case."""
    for column, value in row.items():
        if column.strip().casefold() in names and value is not None and str(value).strip():
            return str(value).strip()
    return None


def normalised_mrn(patient_id: str) -> str:
    """A patient id without outer blanks, case and leading zeros, in which exports of one hospital differ."""
    return patient_id.strip().casefold().lstrip("0") or "0"


def normalised_accession(accession: str) -> str:
    """An accession number without outer blanks and case."""
    return accession.strip().casefold()


def _json_lines(text: Iterable[str]) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise TextTableError(f"line {number} is not JSON") from None
        if not isinstance(row, dict):
            raise TextTableError(f"line {number} is not a JSON object")
        yield number, row


def _report_rows(rows: Iterator[tuple[int, Mapping[str, object]]]) -> Iterator[ReportRow]:
    for number, row in rows:
        names = {name.strip().casefold() for name in row}
        if not names.intersection(ACCESSION_COLUMNS) or not names.intersection(TEXT_COLUMNS):
            raise TextTableError("the table lacks accession_number or report_text")
        text = cell_of(row, TEXT_COLUMNS)
        if text is not None:
            yield ReportRow(number, cell_of(row, ACCESSION_COLUMNS), text)
