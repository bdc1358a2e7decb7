"""Dates of one patient, moved by that patient's shift or cut down to the year, in values and in running text.

Belongs here: the grammar of dates, and how each form is written back in its own style.
Does not belong here: finding out whose date it is, or removing birth dates (callers drop them first).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

_MONTHS: Final = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_WEEKDAY: Final = (
    r"(?:mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:r(?:s(?:day)?)?)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"
    r")"
)
_LEAD: Final = rf"(?:\b{_WEEKDAY}\b\.?,?\s+(?:the\s+)?)?"
_YEAR: Final = r"(?:18|19|20)\d\d"
_TEXT: Final = re.compile(
    rf"""
    {_LEAD}(?:
      (?<![\d.])(?P<iy>{_YEAR})(?P<is>[-/.])(?P<im>0?[1-9]|1[0-2])(?P=is)(?P<id>0?[1-9]|[12]\d|3[01])(?![\d])
    | (?<![\d.,/-])(?P<na>\d{{1,2}})(?P<ns>[-/.])(?P<nb>\d{{1,2}})(?P=ns)(?P<ny>{_YEAR}|\d\d)(?![\d/-]|\.\d|\s*[cm]m\b)
    | (?<![\w-])(?P<dd>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?(?P<d1>[\s.,\-]{{1,3}}(?:of\s+)?)(?P<dm>{_MONTH})\b
        (?P<d2>[\s.,\-]{{1,3}})(?P<dy>{_YEAR}|'?\d\d(?=$|[\s,;)]))\b
    | \b(?P<mm>{_MONTH})\b(?P<m1>[\s.,\-]{{1,3}}(?:the\s+)?)(?P<md>0?[1-9]|[12]\d|3[01])(?P<mo>st|nd|rd|th)?
        (?P<m2>\s*,\s*|[\s.\-]{{1,3}})(?P<my>{_YEAR})\b
    | \b(?P<ym>{_MONTH})\b(?P<y1>[\s.,\-']{{1,3}}(?:of\s+)?)(?P<yy>{_YEAR})\b
    | (?<![\w./-])(?P<cy>{_YEAR})(?P<cm>0[1-9]|1[0-2])(?P<cd>0[1-9]|[12]\d|3[01])(?=(?:[T ]?\d{{4,6}})?(?![\w-]))
    | (?<![\w.-])(?P<sm>0?[1-9]|1[0-2])/(?P<sy>{_YEAR})(?![\d/])
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NAMED: Final = rf"(?:(?!may\b){_MONTH}|(?-i:May|MAY))"
_DAY_MONTH: Final = re.compile(
    rf"{_LEAD}(?:\b(?P<m>{_NAMED})\.?\s+(?P<d>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?\b"
    rf"|\b(?P<e>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<n>{_NAMED})\b)"
    rf"(?!\W{{1,3}}{_YEAR}|\s*[cm]m\b)",
    re.IGNORECASE,
)
_CUED_SLASH: Final = re.compile(
    r"\b(?P<cue>on|dated|date:?|from|since|until|of)\s+(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])(?![\d/])",
    re.IGNORECASE,
)
_LONE_WEEKDAY: Final = re.compile(
    r"\b(?:(?:last|next|this|on)\s+)?(?:mon|tues|wednes|thurs|fri|satur|sun)day\b", re.IGNORECASE
)


def parse_month(text: str) -> int:
    """1..12 of a month's name or abbreviation."""
    return next(i for i, name in enumerate(_MONTHS, 1) if name.startswith(text[:3].casefold()))


def safe_date(year: int, month: int, day: int) -> date | None:
    """A date, or None where the calendar has none."""
    try:
        return date(year, month, day)
    except ValueError:
        return None


def full_year(text: str) -> int:
    """A year of two or four digits; two digits up to 40 are of this century."""
    digits = text.strip("'")
    return int(digits) if len(digits) == 4 else int(digits) + (2000 if int(digits) <= 40 else 1900)


def day_first(texts: list[str]) -> bool:
    """True when numeric dates among the texts can only be read day first, and none only month first."""
    firsts, seconds = 0, 0
    for match in re.finditer(r"(?<!\d)(\d{1,2})[-/.](\d{1,2})[-/.](?:\d{4}|\d\d)(?!\d)", "\n".join(texts)):
        firsts += int(match[1]) > 12 >= int(match[2])
        seconds += int(match[2]) > 12 >= int(match[1])
    return firsts > 0 and seconds == 0


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
        match = _TEXT.match(value.strip())
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
        european, count = day_first([text]), 0

        def replace(match: re.Match[str]) -> str:
            nonlocal count
            count += 1
            return self._written(match, european)

        text = _TEXT.sub(replace, text)
        for pattern, keep in ((_DAY_MONTH, ""), (_CUED_SLASH, "cue")):

            def blank(match: re.Match[str], keep: str = keep) -> str:
                nonlocal count
                count += 1
                return f"{match[keep]} [DATE]" if keep else "[DATE]"

            text = pattern.sub(blank, text)
        return _LONE_WEEKDAY.sub("[DATE]", text), count

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
            return safe_date(int(g["my"]), parse_month(g["mm"]), int(g["md"]))
        if g["ym"]:
            return safe_date(int(g["yy"]), parse_month(g["ym"]), 15)
        if g["cy"]:
            return safe_date(int(g["cy"]), int(g["cm"]), int(g["cd"]))
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
            return f"{moved.day}{g['d1']}{_month(moved, g['dm'])}{g['d2']}{moved.year}"
        if g["mm"]:
            ordinal = _ordinal(moved.day) if g["mo"] else ""
            return f"{_month(moved, g['mm'])}{g['m1']}{moved.day}{ordinal}{g['m2']}{moved.year}"
        if g["ym"]:
            return f"{_month(moved, g['ym'])}{g['y1']}{moved.year}"
        if g["cy"]:
            return moved.strftime("%Y%m%d").zfill(8)
        return f"{moved.month:02d}/{moved.year}"


def _month(day: date, like: str) -> str:
    name = (
        _MONTHS[day.month - 1] if len(like) > 4 or like.casefold() in _MONTHS else _MONTHS[day.month - 1][:3]
    )
    style: Callable[[str], str] = (
        str.upper if like.isupper() else str.lower if like.islower() else str.capitalize
    )
    return style(name)


def _ordinal(day: int) -> str:
    return "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
