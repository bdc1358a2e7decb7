"""What a cell of an annotation table may hold: numbers, ids and names of a closed vocabulary.

Belongs here: checks that more than one annotation table needs, and how a table is refused. Does not belong here: the
tables themselves (``annotations``, ``boxes``). Nothing is repaired: what is not plain refuses its whole file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from spine_models.corpus.archive.reasons import Reason

LARGEST_PX: Final = 65_535
"""Rows and columns of a DICOM image are 16-bit numbers."""

Row = dict[str, Any]
Cells = Mapping[str, str | None]


class Refused(ValueError):
    """A table that is not used; carries its reason and no value of the file."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def require(row: Cells, columns: Sequence[str]) -> None:
    """Raises `Refused` where a column is missing."""
    if not set(columns) <= set(row):
        raise Refused(Reason.ANNOTATION_COLUMNS)


def whole_number(row: Cells, column: str) -> str:
    """Digits without leading zeros, as folder names and DICOM count; raises `Refused`."""
    require(row, (column,))
    value = re.fullmatch(r"(\d{1,18})(?:\.0+)?", row[column] or "")
    if value is None:
        raise Refused(Reason.ANNOTATION_VALUES)
    return str(int(value[1]))


def pixel(cell: str | None) -> float:
    """A coordinate in pixels, finite and within any image, with one pixel of slack before it; raises `Refused`."""
    try:
        value = float(cell or "")
    except ValueError:
        raise Refused(Reason.ANNOTATION_VALUES) from None
    if not math.isfinite(value) or not -1 <= value <= LARGEST_PX:
        raise Refused(Reason.ANNOTATION_VALUES)
    return value
