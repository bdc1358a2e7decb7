"""Which way round the numeric dates of an EHR table are written, from evidence only, else withheld.

Belongs here: the order of a column, of a table, and of one value beside the dates of its row.
Does not belong here: moving dates (dates), the column policy (ehr).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from spine_models.corpus.deid.date_grammar import full_year, numeric_orders, safe_date

_NUMERIC: Final = re.compile(r"(\d{1,2})([-/])(\d{1,2})[-/](\d{4}|\d\d)(?!\d)")
_ISO: Final = re.compile(r"((?:18|19|20)\d\d)[-/.]?(\d\d?)[-/.]?(\d\d?)(?!\d)")
_NEAR_DAYS: Final = 60
"""One reading within two months of another date of the row, the other reading not: that is evidence."""


def _order(texts: list[str]) -> bool | None:
    """True for day first, False for month first, None where nothing or both speak."""
    firsts, seconds = numeric_orders([t for t in texts if "." not in t.split(" ")[0]])
    return None if bool(firsts) == bool(seconds) else firsts > 0


@dataclass(frozen=True)
class DateOrders:
    """How the numeric dates of one table are read.

    ``columns`` and ``table`` are True for day first, False for month first, None without evidence. A column whose own
    values contradict each other never borrows the table's order.
    """

    columns: Mapping[str, bool | None] = field(default_factory=dict)
    table: bool | None = None
    contradicted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, str]], columns: Iterable[str]) -> DateOrders:
        """The orders that the table's own values prove; ``columns`` are those that hold dates."""
        collected = list(rows)
        by_column = {c: [row[c] for row in collected if row.get(c)] for c in columns}
        contradicted = frozenset(c for c, texts in by_column.items() if all(numeric_orders(texts)))
        trusted = [t for c, texts in by_column.items() if c not in contradicted for t in texts]
        return cls({c: _order(t) for c, t in by_column.items()}, _order(trusted), contradicted)

    def day_first(self, column: str, value: str, row: Mapping[str, str]) -> bool | None:
        """How to read one value: True day first, False month first, None where no evidence decides.

        A value that has one reading only, a year first, or a named month is never None.
        """
        match = _NUMERIC.match(value.strip())
        if not match:
            return False
        first, second = int(match[1]), int(match[3])
        if first > 12 or second > 12 or first == second:
            return first > 12
        order = self.columns.get(column)
        if order is None and column not in self.contradicted:
            order = self.table
        return self._beside(first, second, full_year(match[4]), column, row) if order is None else order

    def _beside(self, first: int, second: int, year: int, column: str, row: Mapping[str, str]) -> bool | None:
        others = [d for c in self.columns if c != column for d in [_plain(row.get(c, ""))] if d]
        month_first, day_first = safe_date(year, first, second), safe_date(year, second, first)
        if not others or month_first is None or day_first is None:
            return None
        near = [any(abs((d - o).days) <= _NEAR_DAYS for o in others) for d in (month_first, day_first)]
        return near[1] if near[0] != near[1] else None


def _plain(value: str) -> date | None:
    """The date of a value that has one reading only."""
    text = value.strip()
    if match := _ISO.match(text):
        return safe_date(int(match[1]), int(match[2]), int(match[3]))
    if (match := _NUMERIC.match(text)) and (int(match[1]) > 12) != (int(match[3]) > 12):
        day, month = sorted((int(match[1]), int(match[3])), reverse=True)
        return safe_date(full_year(match[4]), month, day)
    return None
