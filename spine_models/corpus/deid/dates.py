"""Dates of one patient, moved by that patient's shift or cut down to the year, in values and in running text.

Belongs here: moving values and running text, each form written back in its own style.
Does not belong here: the grammar of dates (date_grammar), finding out whose date it is, or removing
birth dates (callers drop them first).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from spine_models.corpus.deid.date_grammar import (
    DATED,
    UNDATABLE,
    day_first,
    full_year,
    month_like,
    ordinal,
    parse_month,
    safe_date,
    tidy,
)

__all__ = ["PatientDates", "day_first", "full_year", "parse_month", "safe_date"]


@dataclass(frozen=True)
class PatientDates:
    """How one patient's dates leave: moved by ``days``, or cut to the year.

    ``days`` is the patient's non-zero shift; with ``mode='year_only'`` it is not used.
    """

    mode: Literal["shift", "year_only"]
    days: int

    def move(self, day: date) -> date:
        """The date that replaces ``day``: shifted exactly, or the first of January of its year."""
        if self.mode == "year_only":
            return date(day.year, 1, 1)
        return date.fromordinal(max(1, min(date.max.toordinal(), day.toordinal() + self.days)))

    def da(self, value: str) -> str | None:
        """A DICOM DA value moved; None where it is not a date (PS3.5 section 6.2, old dotted form included)."""
        match = re.fullmatch(r"(\d{4})\.?(\d\d)\.?(\d\d)", value.strip(" \x00"))
        day = safe_date(*map(int, match.groups())) if match else None
        return self.move(day).strftime("%Y%m%d").zfill(8) if day else None

    def dt(self, value: str) -> str | None:
        """A DICOM DT value with its date moved and its time kept; None where it is not one.

        A DT of a year alone, or of year and month, is moved from the middle of what it names.
        """
        match = re.fullmatch(
            r"(\d{4})(\d\d)?(\d\d)?((?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-6]\d(?:\.\d{1,6})?)?)?)?([+-]\d{4})?",
            value.strip(" \x00"),
        )
        if not match:
            return None
        year, month, day, rest, zone = match.groups()
        start = safe_date(int(year), int(month or 7), int(day or (15 if month else 1)))
        if start is None:
            return None
        moved = self.move(start).strftime("%Y%m%d").zfill(8)
        return moved[: 8 if day else 6 if month else 4] + (rest or "") + (zone or "")

    def iso(self, value: str, *, european: bool = False) -> str | None:
        """A table's date or date-time in any known format as moved ISO text; None where there is none.

        A time after the date is kept as HH:MM[:SS].
        """
        match = DATED.match(value.strip())
        day = self._day_of(match, european) if match else None
        if match is None or day is None:
            return None
        moved = self.move(day)
        if self.mode == "year_only":
            return f"{moved.year:04d}"
        clock = re.match(
            r"[T\s,]*(\d{1,2}):(\d\d)(?::(\d\d))?(?:\.\d+)?\s*([ap]m)?|[T\s]*(\d\d)(\d\d)(\d\d)?\b",
            value.strip()[match.end() :],
            re.IGNORECASE,
        )
        if not clock:
            return moved.isoformat()
        hour, minute, second = (clock[1] or clock[5]), (clock[2] or clock[6]), (clock[3] or clock[7])
        hours = int(hour) % 12 + (12 if clock[4].casefold() == "pm" else 0) if clock[4] else int(hour)
        return f"{moved.isoformat()}T{hours:02d}:{minute}" + (f":{second}" if second else "")

    def text(self, text: str) -> tuple[str, int]:
        """Running text with every date moved in its own style, and how many there were.

        Weekdays go with their date; a day and month without a year, which cannot be moved exactly, becomes
        ``[DATE]``; a bare year stays.
        """
        text = tidy(text)
        european, count = day_first([text]), 0

        def replace(match: re.Match[str]) -> str:
            nonlocal count
            count += 1
            return self._written(match, european)

        text = DATED.sub(replace, text)
        for pattern, replacement in UNDATABLE:
            text, found = pattern.subn(replacement, text)
            count += found
        return text, count

    def _day_of(self, match: re.Match[str], european: bool) -> date | None:
        g = match.groupdict()
        if g["iy"]:
            return safe_date(int(g["iy"]), int(g["im"]), int(g["id"]))
        if g["na"]:
            first, second = int(g["na"]), int(g["nb"])
            swap = first > 12 or ((european or g["ns"] == ".") and second <= 12)
            month, day = (second, first) if swap else (first, second)
            return safe_date(full_year(g["ny"]), month, day)
        if g["dd"]:
            return safe_date(full_year(g["dy"]), parse_month(g["dm"]), int(g["dd"]))
        if g["mm"]:
            return safe_date(full_year(g["my"]), parse_month(g["mm"]), int(g["md"]))
        if g["ym"]:
            return safe_date(int(g["yy"]), parse_month(g["ym"]), 15)
        if g["cy"]:
            return safe_date(int(g["cy"]), int(g["cm"]), int(g["cd"]))
        if g["jy"]:
            return safe_date(int(g["jy"]), int(g["jm"]), 15)
        return safe_date(int(g["sy"]), int(g["sm"]), 15)

    def _written(self, match: re.Match[str], european: bool) -> str:
        day = self._day_of(match, european)
        if day is None:
            return "[DATE]"
        moved, g = self.move(day), match.groupdict()
        if self.mode == "year_only":
            return f"{moved.year}"
        if g["iy"]:
            mark, wide = g["is"], len(g["im"]) == 2 or len(g["id"]) == 2
            width = 2 if wide else 1
            return f"{moved.year}{mark}{moved.month:0{width}d}{mark}{moved.day:0{width}d}"
        if g["na"]:
            first, second = int(g["na"]), int(g["nb"])
            swap = first > 12 or ((european or g["ns"] == ".") and second <= 12)
            a, b = (moved.day, moved.month) if swap else (moved.month, moved.day)
            width = 2 if len(g["na"]) == 2 and len(g["nb"]) == 2 else 1
            year = f"{moved.year}" if len(g["ny"]) == 4 else f"{moved.year % 100:02d}"
            return f"{a:0{width}d}{g['ns']}{b:0{width}d}{g['ns']}{year}"
        if g["dd"]:
            day_digits = f"{moved.day:02d}" if not g["d1"] else f"{moved.day}"
            return f"{day_digits}{g['d1']}{month_like(moved, g['dm'])}{g['d2']}{moved.year}"
        if g["mm"]:
            ending = ordinal(moved.day) if g["mo"] else ""
            return f"{month_like(moved, g['mm'])}{g['m1']}{moved.day}{ending}{g['m2']}{moved.year}"
        if g["ym"]:
            return f"{month_like(moved, g['ym'])}{g['y1']}{moved.year}"
        if g["cy"]:
            return moved.strftime("%Y%m%d").zfill(8)
        if g["jy"]:
            return f"{moved.year}-{moved.month:02d}"
        return f"{moved.month:02d}/{moved.year}"
