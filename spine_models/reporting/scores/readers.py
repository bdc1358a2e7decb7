"""What readers made of the drafts: a table kept by hand, read strictly, and each reading beside its draft.

The file has one line per reading: ``reader`` (a code, not a name), ``study_key``, ``draft_key``, ``score`` and
``corrected_text``. Scores are those of RADPEER (Goldberg-Stein et al., J Am Coll Radiol 2017;14:1080): 1 concur, 2
discrepancy that is understandable to miss, 3 that should be made most of the time, 4 that should be made almost every
time; from 2 on ``a`` is unlikely and ``b`` likely to be clinically significant.

What a reader wrote may name a patient again. It is compared with the draft and forgotten: no table holds it, and no
error repeats a cell.

Belongs here: the file's columns, errors that a reader can mend, one row a reading. Does not belong here: what the
readings amount to (``radpeer``).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from spine_models.reporting.claims import Unit, units_of_text
from spine_models.reporting.scores.metric import Metric
from spine_models.reporting.scores.tables import READERS
from spine_models.reporting.scores.text import body, words, words_changed

REQUIRED: Final = ("reader", "study_key", "draft_key", "score")
OPTIONAL: Final = ("corrected_text", "note", "read_at")
"""``note`` and ``read_at`` are for the people who keep the file; nothing reads them."""
SCORES: Final = ("1", "2a", "2b", "3a", "3b", "4a", "4b")

_DELIMITERS: Final = (",", ";", "\t")
_PATTERNS: Final = {
    "reader": (re.compile(r"[A-Za-z0-9_.-]{1,32}"), "use a code of letters and digits, never a name"),
    "study_key": (re.compile(r"[A-Za-z0-9_-]{1,64}"), "copy it from reports.drafts"),
    "draft_key": (re.compile(r"[A-Za-z0-9_-]{1,64}"), "copy it from reports.drafts"),
}


class ReadersError(ValueError):
    """The readers' file cannot be read; the message names line, column and remedy, never a cell's content."""

    def __init__(self, path: Path, line: int, column: str | None, problem: str, remedy: str) -> None:
        self.line = line
        self.column = column
        place = f"{path.name}, line {line}" + (f", column {column}" if column else "")
        super().__init__(f"{place}: {problem}; {remedy}")


@dataclass(frozen=True)
class Reading:
    """One line of the file; ``corrected_text`` is None where the reader left it empty."""

    reader: str
    study_key: str
    draft_key: str
    score: str
    corrected_text: str | None = field(default=None, repr=False)


def read_readings(path: Path) -> list[Reading]:
    """Read the readers' file.

    The first line names the columns in any order. Commas, semicolons or tabs delimit, lines end as any system ends
    them, a byte-order mark and empty lines are skipped. A corrected text with line breaks stands in quotation marks.

    Args:
        path: CSV, UTF-8. A file that does not exist holds no readings.

    Raises:
        ReadersError: anything else; a score that RADPEER does not have; two readings of one draft by one reader.
    """
    if not path.exists():
        return []
    rows = _rows(path)
    line, header = next(rows, (1, []))
    names = _columns(path, line, header)
    seen: dict[tuple[str, str], int] = {}
    found = []
    for line, cells in rows:
        reading = _reading(path, line, names, cells)
        before = seen.setdefault((reading.reader, reading.draft_key), line)
        if before != line:
            raise ReadersError(
                path,
                line,
                "draft_key",
                f"this reader has read this draft on line {before}",
                "keep one of the two",
            )
        found.append(reading)
    return found


def readings_table(readings: list[Reading], drafts: pl.DataFrame, metric: Metric) -> pl.DataFrame:
    """Each reading beside the draft that it is of.

    Args:
        readings: of ``read_readings``.
        drafts: study_key, draft_key and report_text of ``reports.DRAFTS``.
        metric: that pairs the findings of draft and correction.

    Returns:
        ``READERS`` in the order of the readings. A draft that is no longer there, or is of another study, has status
        ``unknown_draft`` or ``other_study``, its score and nothing else: the score was not of this text.
    """
    held = {
        key: (study, text)
        for study, key, text in drafts.select("study_key", "draft_key", "report_text").rows()
    }
    return pl.DataFrame(
        [_row(reading, held.get(reading.draft_key), metric) for reading in readings], schema=READERS
    )


def _row(reading: Reading, draft: tuple[str, str] | None, metric: Metric) -> dict[str, Any]:
    row: dict[str, Any] = {
        "reader": reading.reader,
        "study_key": reading.study_key,
        "draft_key": reading.draft_key,
        "score": reading.score,
        "discrepancy": int(reading.score[0]),
        "significant": None if reading.score == "1" else reading.score.endswith("b"),
        "corrected": reading.corrected_text is not None,
    }
    if draft is None:
        return row | {"status": "unknown_draft"}
    study, text = draft
    if study != reading.study_key:
        return row | {"status": "other_study"}
    row |= {"status": "read", "n_words": len(words(body(text)))}
    if reading.corrected_text is None:
        return row
    ours, theirs = body(text), body(reading.corrected_text)
    changed = words_changed(ours, theirs)
    longest = max(len(words(ours)), len(words(theirs)))
    said, corrected = units_of_text(text), units_of_text(reading.corrected_text)
    return (
        row
        | {"words_changed": changed, "edit_distance": changed / longest if longest else 0.0}
        | _edits(said, corrected, metric)
    )


def _edits(said: list[Unit], corrected: list[Unit], metric: Metric) -> dict[str, int]:
    pairs = metric.match(said, corrected)
    return {
        "removed": len(said) - len(pairs),
        "added": len(corrected) - len(pairs),
        "changed": sum(said[i] != corrected[j] for i, j in pairs),
    }


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
        raise ReadersError(
            path, line, None, "is not UTF-8 from here on or soon after", "save the file as CSV UTF-8"
        ) from None
    except csv.Error:
        raise ReadersError(
            path,
            line,
            None,
            "is not a CSV line, or a quotation mark that opens here does not close",
            "put texts with line breaks in quotation marks and double those inside",
        ) from None


def _columns(path: Path, line: int, header: list[str]) -> list[str]:
    names = [name.lower() for name in header]
    while names and not names[-1]:
        names.pop()  # spreadsheets leave empty columns at the end
    for number, name in enumerate(names, 1):
        if name not in (*REQUIRED, *OPTIONAL):
            raise ReadersError(
                path,
                line,
                f"number {number}",
                "is not a known column",
                f"the first line names {', '.join(REQUIRED)} and at most {', '.join(OPTIONAL)}",
            )
        if name in names[: number - 1]:
            raise ReadersError(path, line, name, "is there twice", "keep one of the two columns")
    for name in REQUIRED:
        if name not in names:
            columns = ",".join((*REQUIRED, "corrected_text"))
            raise ReadersError(path, line, name, "is missing", f"begin the file with a line {columns}")
    return names


def _reading(path: Path, line: int, names: list[str], cells: list[str]) -> Reading:
    if any(cells[len(names) :]):
        raise ReadersError(
            path,
            line,
            None,
            f"has more cells than the {len(names)} columns",
            "put texts that contain the delimiter in quotation marks",
        )
    row = dict(zip(names, cells, strict=False))
    for name in REQUIRED:
        if not row.get(name):
            raise ReadersError(path, line, name, "is empty", "fill it in or delete the line")
    for name, (pattern, remedy) in _PATTERNS.items():
        if not pattern.fullmatch(row[name]):
            raise ReadersError(path, line, name, "is not a key or code", remedy)
    score = row["score"].lower()
    if score not in SCORES:
        raise ReadersError(path, line, "score", "is not a RADPEER score", f"use one of {', '.join(SCORES)}")
    text = row.get("corrected_text") or None
    return Reading(row["reader"], row["study_key"], row["draft_key"], score, text)
