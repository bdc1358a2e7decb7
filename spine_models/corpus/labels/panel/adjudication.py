"""What people decided, read from a table they keep by hand.

Belongs here: the table's columns and what stands in them. Does not belong here: reading such tables
(``corpus.hand_kept``), what a decision changes (``consensus``), what to decide next (``review``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from spine_models.corpus.hand_kept import HandKept, HandKeptError
from spine_models.corpus.labels.tables import ADJUDICATIONS
from spine_models.domain import Status, condition_keys

REQUIRED: Final = ("study_key", "condition", "status")
OPTIONAL: Final = ("reader", "note", "read_at")
"""Columns for the people who keep the file; nothing reads them."""


class AdjudicationError(HandKeptError):
    """The file of adjudications cannot be read."""


_TABLE: Final = HandKept(REQUIRED, OPTIONAL, REQUIRED, AdjudicationError)


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
    decided: dict[tuple[str, str], tuple[str, int]] = {}
    for line, row in _TABLE.rows(path):
        study, condition, status = _decision(path, line, row)
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


def _decision(path: Path, line: int, row: Mapping[str, str]) -> tuple[str, str, str]:
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
