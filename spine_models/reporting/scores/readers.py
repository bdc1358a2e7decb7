"""What readers made of the drafts: a table kept by hand, read strictly, and each reading beside its draft.

The file has one line per reading: ``reader`` (a code, not a name), ``study_key``, ``draft_key``, ``score`` and
``corrected_text``. Scores are those of RADPEER (Goldberg-Stein et al., J Am Coll Radiol 2017;14:1080): 1 concur, 2
discrepancy that is understandable to miss, 3 that should be made most of the time, 4 that should be made almost every
time; from 2 on ``a`` is unlikely and ``b`` likely to be clinically significant.

What a reader wrote may name a patient again. It is compared with the draft and forgotten: no table holds it, and no
error repeats a cell.

Belongs here: the file's columns and what stands in them, one row a reading. Does not belong here: reading such tables
(``corpus.hand_kept``), what the readings amount to (``radpeer``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from spine_models.corpus.hand_kept import HandKept, HandKeptError
from spine_models.corpus.statements import Unit, units_of_text
from spine_models.reporting.scores.metric import Metric
from spine_models.reporting.scores.tables import READERS
from spine_models.reporting.scores.text import body, words, words_changed

REQUIRED: Final = ("reader", "study_key", "draft_key", "score")
OPTIONAL: Final = ("corrected_text", "note", "read_at")
"""``note`` and ``read_at`` are for the people who keep the file; nothing reads them."""
SCORES: Final = ("1", "2a", "2b", "3a", "3b", "4a", "4b")

_PATTERNS: Final = {
    "reader": (re.compile(r"[A-Za-z0-9_.-]{1,32}"), "use a code of letters and digits, never a name"),
    "study_key": (re.compile(r"[A-Za-z0-9_-]{1,64}"), "copy it from reports.drafts"),
    "draft_key": (re.compile(r"[A-Za-z0-9_-]{1,64}"), "copy it from reports.drafts"),
}


class ReadersError(HandKeptError):
    """The readers' file cannot be read."""


_TABLE: Final = HandKept(REQUIRED, OPTIONAL, (*REQUIRED, "corrected_text"), ReadersError)


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
    seen: dict[tuple[str, str], int] = {}
    found = []
    for line, row in _TABLE.rows(path):
        reading = _reading(path, line, row)
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


def _reading(path: Path, line: int, row: Mapping[str, str]) -> Reading:
    for name, (pattern, remedy) in _PATTERNS.items():
        if not pattern.fullmatch(row[name]):
            raise ReadersError(path, line, name, "is not a key or code", remedy)
    score = row["score"].lower()
    if score not in SCORES:
        raise ReadersError(path, line, "score", "is not a RADPEER score", f"use one of {', '.join(SCORES)}")
    text = row.get("corrected_text") or None
    return Reading(row["reader"], row["study_key"], row["draft_key"], score, text)
