"""Reports and EHR exports as a site writes them: unknown encoding, delimiter and quoting.

Belongs here: turning one text, csv or jsonl file into rows, or into one of two errors that name no value.
Does not belong here: whose rows they are, or what may leave the restricted zone.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spine_models.corpus.archive.instance import read_regular

MAX_TEXT_BYTES: Final = 256 * 1024**2

ACCESSION_COLUMNS: Final = ("accession_number", "accession", "accession_no")
TEXT_COLUMNS: Final = ("report_text", "report", "text")
MRN_COLUMNS: Final = ("mrn", "patient_id", "patientid")
STUDY_UID_COLUMNS: Final = ("study_instance_uid", "study_uid", "studyinstanceuid")

_DELIMITERS: Final = (",", ";", "\t", "|")
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_TEXT: Final = (b"%PDF", b"{\\rtf", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b")
_MAX_FIELD: Final = 64 * 1024**2


class TextTableError(ValueError):
    """The file is no readable text or table; the message says what is wrong, never with a value."""


@dataclass(frozen=True)
class ReportRow:
    """One report; `row` is 0 for a text file, and counts data rows from 1 in csv and jsonl."""

    row: int
    accession_number: str | None
    report_text: str


def read_text(path: Path) -> str:
    """Decode a whole file: byte-order mark, UTF-16 without one, UTF-8, else Windows-1252 or Latin-1.

    Raises:
        TextTableError: not text (binary content, a document format), or larger than `MAX_TEXT_BYTES`.
        OSError: cannot be read.
    """
    content = read_regular(path, MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise TextTableError("the file is larger than a text file of this kind may be")
    if content.startswith(_NOT_TEXT):
        raise TextTableError("the file is a document or an archive, not plain text")
    text = _decoded(content)
    if "\0" in text:
        raise TextTableError("the file holds binary content")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_reports(path: Path) -> list[ReportRow]:
    """Reports of a ``.txt`` (accession number in its name), ``.csv`` or ``.jsonl`` file.

    Raises:
        TextTableError: no readable report in it, a column that is missing, a row that does not fit.
        OSError: cannot be read.
    """
    text = read_text(path)
    suffix = path.suffix.casefold()
    if suffix == ".csv":
        rows = list(_report_rows(enumerate(table_rows(text), start=1)))
    elif suffix == ".jsonl":
        rows = list(_report_rows(_json_lines(text)))
    else:
        rows = [ReportRow(0, path.stem.strip() or None, text.strip())] if text.strip() else []
    if not rows:
        raise TextTableError("the file holds no report")
    return rows


def table_rows(text: str) -> Iterator[dict[str, str | None]]:
    """Rows of a delimited table with a header line, empty cells as null, in the order of its columns.

    Raises:
        TextTableError: no header, a doubled or unnamed column, a row of another length, broken quoting.
    """
    first_line = text.lstrip().split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first_line.count)  # the first one, a comma, where none is there
    # A field of the whole file's length is legal, and the reader's own limit is global to the process.
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                if "" in header or len(set(header)) < len(header):
                    raise TextTableError("a column of the table has no name, or two have the same")
                continue
            if len(cells) != len(header):
                raise TextTableError(f"data row before line {reader.line_num} has another number of cells")
            yield {name: cell.strip() or None for name, cell in zip(header, cells, strict=True)}
    except csv.Error:
        raise TextTableError(f"quoting of the table is broken before line {reader.line_num}") from None
    if header is None:
        raise TextTableError("the table has no header")


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


def _decoded(content: bytes) -> str:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return _strict(content, encoding)
    head = content[:4096]
    # Western text in UTF-16 has a zero in every other byte.
    if len(head) >= 4 and head[1::2].count(0) > 0.6 * (len(head) // 2) and head[::2].count(0) == 0:
        return _strict(content, "utf-16-le")
    if len(head) >= 4 and head[::2].count(0) > 0.6 * (len(head) // 2) and head[1::2].count(0) == 0:
        return _strict(content, "utf-16-be")
    for encoding in ("utf-8", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _strict(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise TextTableError(f"the file is not valid {encoding}") from None


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(text.split("\n"), start=1):
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
