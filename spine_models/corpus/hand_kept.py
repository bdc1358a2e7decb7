"""Tables that people keep by hand as CSV, read strictly, with errors that they can mend.

Belongs here: delimiters, encodings, the line of column names, cells that must be filled in. Does not belong here: what
a column means (``labels.panel.adjudication``, ``reporting.scores.readers``).

Cells are never repeated in an error: a shifted column may hold a note, and a note may name a patient.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DELIMITERS: Final = (",", ";", "\t")


class HandKeptError(ValueError):
    """A table kept by hand cannot be read; the message names line, column and remedy, never a cell's content."""

    def __init__(self, path: Path, line: int, column: str | None, problem: str, remedy: str) -> None:
        self.line = line
        self.column = column
        place = f"{path.name}, line {line}" + (f", column {column}" if column else "")
        super().__init__(f"{place}: {problem}; {remedy}")


@dataclass(frozen=True)
class HandKept:
    """A kind of table.

    Attributes:
        required: columns that every line fills in.
        optional: columns that may be there.
        usual: column names that the remedy for a missing one shows.
        error: raised where a file is not of this kind.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    usual: tuple[str, ...]
    error: type[HandKeptError]

    def rows(self, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
        """Stripped cells by column of every line that has any, each with the line on which it begins, from 1.

        The first line names the columns in any order. Commas, semicolons or tabs delimit, lines end as any system ends
        them; a byte-order mark is skipped, empty lines too. A file that does not exist has no rows.

        Raises:
            HandKeptError: as ``error``: not UTF-8, no CSV, unknown, repeated or missing columns, more cells than
                columns, a required cell that is empty.
        """
        if not path.exists():
            return
        lines = self._lines(path)
        line, header = next(lines, (1, []))
        names = self._columns(path, line, header)
        for line, cells in lines:
            if any(cells[len(names) :]):
                raise self.error(
                    path,
                    line,
                    None,
                    f"has more cells than the {len(names)} columns",
                    "put texts that contain the delimiter in quotation marks",
                )
            row = dict(zip(names, cells, strict=False))
            for name in self.required:
                if not row.get(name):
                    raise self.error(path, line, name, "is empty", "fill it in or delete the line")
            yield line, row

    def _lines(self, path: Path) -> Iterator[tuple[int, list[str]]]:
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
            raise self.error(
                path, line, None, "is not UTF-8 from here on or soon after", "save the file as CSV UTF-8"
            ) from None
        except csv.Error:
            raise self.error(
                path,
                line,
                None,
                "is not a CSV line, or a quotation mark that opens here does not close",
                "put cells with quotation marks or line breaks in quotation marks and double those inside",
            ) from None

    def _columns(self, path: Path, line: int, header: list[str]) -> list[str]:
        names = [name.lower() for name in header]
        while names and not names[-1]:
            names.pop()  # spreadsheets leave empty columns at the end
        for number, name in enumerate(names, 1):
            if name not in (*self.required, *self.optional):
                raise self.error(
                    path,
                    line,
                    f"number {number}",
                    "is not a known column",
                    f"the first line names {', '.join(self.required)} and at most {', '.join(self.optional)}",
                )
            if name in names[: number - 1]:
                raise self.error(path, line, name, "is there twice", "keep one of the two columns")
        for name in self.required:
            if name not in names:
                raise self.error(
                    path, line, name, "is missing", f"begin the file with a line {','.join(self.usual)}"
                )
        return names
