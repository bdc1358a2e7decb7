"""What people decided, read from a table they keep by hand.

Belongs here: the CSV's columns, delimiters and encodings, errors that a reader can mend. Does not belong here: what
a decision changes (``consensus``), what to decide next (``review``).

Cells are never repeated in an error: a shifted column may hold a note, and a note may name a patient.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from spine_models.corpus.labels.tables import ADJUDICATIONS
from spine_models.domain import Status, condition_keys

REQUIRED: Final = ("study_key", "condition", "status")
OPTIONAL: Final = ("reader", "note", "read_at")
"""Columns for the people who keep the file; nothing reads them."""

_DELIMITERS: Final = (",", ";", "\t")


class AdjudicationError(ValueError):
    """The file of adjudications cannot be read; the message names place and remedy, never a cell's content."""

    def __init__(self, path: Path, line: int, column: str | None, problem: str, remedy: str) -> None:
        self.line = line
        self.column = column
        place = f"{path.name}, line {line}" + (f", column {column}" if column else "")
        super().__init__(f"{place}: {problem}; {remedy}")


def read_adjudications(path: Path) -> pl.DataFrame:
    """Read the adjudications of people.

    The first line names the columns ``study_key``, ``condition`` and ``status`` in any order, and possibly
    ``reader``, ``note`` and ``read_at``. Commas, semicolons or tabs delimit, lines end as any system ends them, a
    byte-order mark is skipped, empty lines too. Rows that say the same twice are folded.

    Args:
        path: the CSV, UTF-8. A file that does not exist holds no adjudications.

    Returns:
        ``ADJUDICATIONS`` in the order of the file.

    Raises:
        AdjudicationError: anything else than the above; an unknown condition or status; two rows that differ on
            one study and condition.
    """
    if not path.exists():
        return pl.DataFrame(schema=ADJUDICATIONS)
    rows = _rows(path)
    line, header = next(rows, (1, []))
    names = _columns(path, line, header)
    decided: dict[tuple[str, str], tuple[str, int]] = {}
    for line, cells in rows:
        study, condition, status = _decision(path, line, names, cells)
        before = decided.setdefault((study, condition), (status, line))
        if before[0] != status:
            raise AdjudicationError(
                path,
                line,
                "status",
                f"contradicts line {before[1]} on the same study and condition",
                "keep the line that holds and delete the other",
            )
    found = [(study, condition, status) for (study, condition), (status, _) in decided.items()]
    return pl.DataFrame(found, schema=ADJUDICATIONS, orient="row")


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Stripped cells of every line that has any, each with the line on which it begins, from 1."""
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next((text for text in file if text.strip()), "")
            file.seek(0)
            delimiter = max(_DELIMITERS, key=first.count)  # the comma, where there is none
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for cells in reader:
                stripped = [cell.strip() for cell in cells]
                if any(stripped):
                    yield line, stripped
                line = reader.line_num + 1
    except UnicodeDecodeError:
        raise AdjudicationError(
            path, line, None, "is not UTF-8 from here on or soon after", "save the file as CSV UTF-8"
        ) from None
    except csv.Error:
        raise AdjudicationError(
            path,
            line,
            None,
            "is not a CSV line, or a quotation mark that opens here does not close",
            "put cells with quotation marks or line breaks in quotation marks and double those inside",
        ) from None


def _columns(path: Path, line: int, header: list[str]) -> list[str]:
    names = [name.lower() for name in header]
    while names and not names[-1]:
        names.pop()  # spreadsheets leave empty columns at the end
    for number, name in enumerate(names, 1):
        if name not in (*REQUIRED, *OPTIONAL):
            raise AdjudicationError(
                path,
                line,
                f"number {number}",
                "is not a known column",
                f"the first line names {', '.join(REQUIRED)} and at most {', '.join(OPTIONAL)}",
            )
        if name in names[: number - 1]:
            raise AdjudicationError(path, line, name, "is there twice", "keep one of the two columns")
    for name in REQUIRED:
        if name not in names:
            raise AdjudicationError(
                path, line, name, "is missing", f"begin the file with a line {','.join(REQUIRED)}"
            )
    return names


def _decision(path: Path, line: int, names: list[str], cells: list[str]) -> tuple[str, str, str]:
    if any(cells[len(names) :]):
        raise AdjudicationError(
            path,
            line,
            None,
            f"has more cells than the {len(names)} columns",
            "put notes that contain the delimiter in quotation marks",
        )
    row = dict(zip(names, cells, strict=False))
    for name in REQUIRED:
        if not row.get(name):
            raise AdjudicationError(path, line, name, "is empty", "fill it in or delete the line")
    condition, status = row["condition"].lower(), row["status"].lower()
    if condition not in condition_keys():
        raise AdjudicationError(
            path, line, "condition", "is not a known condition", f"use one of {', '.join(condition_keys())}"
        )
    if status not in set(Status):
        raise AdjudicationError(
            path, line, "status", "is not a known status", f"use one of {', '.join(Status)}"
        )
    return row["study_key"], condition, status
