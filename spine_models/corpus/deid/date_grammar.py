"""How dates are written: numbers in any order, months in several languages, Roman months, dictated words, holidays.

Belongs here: the patterns, the names of months, and spellings brought into a form that the patterns know.
Does not belong here: moving a date (dates), whose date it is, or which dates are birth dates.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import Final

from spine_models.corpus.deid.alternation import by_first_letter

MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october"),
    *("november", "december"),
)
_FOREIGN: Final = (
    "janvier januar enero ene gennaio janeiro januari ocak stycznia",
    "février fevrier februar febrero febbraio fevereiro februari şubat subat lutego",
    "mars märz maerz marz marzo março marco maart mrt mart marca",
    "avril abril abr aprile nisan kwietnia",
    "mai mayo maggio maio mei mayıs mayis maja",
    "juin juni junio giugno junho haziran czerwca",
    "juillet juli julio luglio julho temmuz lipca",
    "août aout agosto augustus ağustos agustos sierpnia",
    "septembre septiembre settembre setembro eylül eylul września wrzesnia",
    "octobre oktober octubre ottobre outubro okt ekim października pazdziernika",
    "novembre noviembre kasım kasim listopada",
    "décembre decembre dezember diciembre dicembre dezembro dic dez aralık aralik grudnia",
)
_OF_FOREIGN: Final = {name: i for i, names in enumerate(_FOREIGN, 1) for name in names.split()}
_ENGLISH: Final = (
    *("jan(?:uary)?", "feb(?:ruary)?", "mar(?:ch)?", "apr(?:il)?", "may", "june?", "july?", "aug(?:ust)?"),
    *("sept?(?:ember)?", "oct(?:ober)?", "nov(?:ember)?", "dec(?:ember)?"),
)
_MONTH: Final = by_first_letter((*sorted(_OF_FOREIGN, key=len, reverse=True), *_ENGLISH))
_WEEKDAY: Final = (
    r"(?:mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:r(?:s(?:day)?)?)?|fri(?:day)?"
    r"|sat(?:urday)?|sun(?:day)?)"
)
_BEFORE_DIGIT: Final = r"\b(?=[^\W\d_]{3,14}[\s.,\-']{1,3}(?:the\s+|of\s+)?'?\d)"
"""A month before a number: looked for ahead, since the many names of months are slow to try at every word."""
_LEAD: Final = rf"(?:\b(?=[mtwfs]){_WEEKDAY}\b\.?,?\s+(?:the\s+)?)?"
_YEAR: Final = r"(?:18|19|20)\d\d"
DATED: Final = re.compile(
    rf"""
    (?=\d|\b[^\W\d_]){_LEAD}(?:
      (?<![\d.])(?P<iy>{_YEAR})(?P<is>[-/.])(?P<im>0?[1-9]|1[0-2])(?P=is)(?P<id>0?[1-9]|[12]\d|3[01])(?![\d])
    | (?<![\d.,/-])(?P<na>\d{{1,2}})(?P<ns>[-/.])(?P<nb>\d{{1,2}})(?P=ns)(?P<ny>{_YEAR}|\d\d)(?![\d/-]|\.\d|\s*[cm]m\b)
    | (?<![\w-])(?P<dd>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?(?P<d1>[\s.,\-/]{{0,3}}(?:of\s+)?)(?P<dm>{_MONTH})
        (?![^\W\d_])
        (?P<d2>[\s.,\-/]{{0,3}})(?P<dy>{_YEAR}|'?\d\d(?=$|[\s,;:.)\]]))(?!\w)
    | {_BEFORE_DIGIT}(?P<mm>{_MONTH})\b
        (?P<m1>[\s.,\-]{{1,3}}(?:the\s+)?)(?P<md>0?[1-9]|[12]\d|3[01])(?P<mo>st|nd|rd|th)?
        (?P<m2>\s*,\s*|[\s.\-/]{{1,3}})(?P<my>{_YEAR}|'\d\d|(?<=/)\d\d)\b
    | {_BEFORE_DIGIT}(?P<ym>{_MONTH})\b(?P<y1>[\s.,\-']{{1,3}}(?:of\s+)?)(?P<yy>{_YEAR})\b
    | (?<![\w./-])(?P<cy>{_YEAR})(?P<cm>0[1-9]|1[0-2])(?P<cd>0[1-9]|[12]\d|3[01])(?=(?:[T ]?\d{{4,6}})?(?![\w-]))
    | (?<![\w.-])(?P<sm>0?[1-9]|1[0-2])/(?P<sy>{_YEAR})(?![\d/])
    | (?<![\w./-])(?P<jy>{_YEAR})-(?P<jm>0[1-9]|1[0-2])(?![\w-])
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""One whole date: iso, numeric, day month year, month day year, month year, compact, month/year, year-month."""

_NAMED: Final = rf"(?:(?!may\b|mars?\b|mart\b){_MONTH}|(?-i:May|MAY|Mar|MAR))"
_ORDINALS: Final = (
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth"
    r"|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|(?:twenty|thirty)[\s-](?:first|second|third|fourth"
    r"|fifth|sixth|seventh|eighth|ninth)|twentieth|thirtieth)"
)
_NUMBERS: Final = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    r"|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|oh|and)"
)
_HOLIDAY: Final = by_first_letter(
    (
        *(r"christmas(?:\s+(?:eve|day))?", r"boxing\s+day", r"new\s+year['’]?s?(?:\s+(?:eve|day))?"),
        *(r"good\s+friday", r"easter(?:\s+\w+day)?", r"thanksgiving(?:\s+day)?", r"labou?r\s+day"),
        *(r"memorial\s+day", r"canada\s+day", r"australia\s+day", r"anzac\s+day", r"independence\s+day"),
        *(r"mother['’]?s\s+day", r"father['’]?s\s+day", r"fourth\s+of\s+july", "halloween", "hallowe['’]en"),
        *("ramadan", "diwali", "deepavali", "hanukkah", "passover", r"yom\s+kippur", "eid"),
        *(r"st\.?\s+patrick['’]?s\s+day", r"valentine['’]?s\s+day", "pentecost", "whitsun", "hogmanay"),
        *("mid-?summer", r"4th\s+of\s+july"),
    )
)
_TIMING: Final = by_first_letter(
    (
        *(
            "in",
            "since",
            "last",
            "next",
            "this",
            "from",
            "until",
            "till",
            "during",
            "early",
            "late",
            "mid",
            "dated",
        ),
        *("before", "after", "around", "through", "of", "between", "by", "to"),
    )
)
_CUE: Final = by_first_letter(
    (
        *(
            "on",
            "dated",
            "date:?",
            "from",
            "since",
            "until",
            "till",
            "of",
            "yesterday",
            "today",
            "tomorrow",
            "mri",
        ),
        *(
            "mr",
            "ct",
            "scan",
            "exam",
            "study",
            "x-?rays?",
            "rtw",
            "seen",
            "done",
            "surgery",
            "injection",
            "visit",
        ),
        *("call", "called", "faxed", "due", "appt", "appointment", "by", r"at\s+\d{1,2}:\d\d", _WEEKDAY),
    )
)
UNDATABLE: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (
        re.compile(
            rf"(?=\d|\b[^\W\d_]){_LEAD}(?:{_BEFORE_DIGIT}(?P<m>{_NAMED})\.?\s+(?P<d>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?\b"
            rf"|\b(?P<e>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<n>{_NAMED})\b)"
            rf"(?!\W{{1,3}}{_YEAR}|\s*[cm]m\b)",
            re.IGNORECASE,
        ),
        "[DATE]",
    ),
    (
        re.compile(
            rf"\b{_MONTH}\s+(?:the\s+)?{_ORDINALS}(?:,?(?:\s+{_NUMBERS})+)?\b",
            re.IGNORECASE,
        ),
        "[DATE]",
    ),
    (
        re.compile(
            rf"\b(?P<keep>{_CUE})\s+(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])(?![\d/]|\s*(?:strength|power))",
            re.IGNORECASE,
        ),
        r"\g<keep> [DATE]",
    ),
    (
        re.compile(
            r"(?<![\w/])(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])(?=[ \t]+(?:[01]\d|2[0-3]):?[0-5]\d\b)"
        ),
        "[DATE]",
    ),
    (
        re.compile(r"(?<=\d:\d\d )(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01])(?![\d/])"),
        "[DATE]",
    ),
    (re.compile(rf"\b(?:(?:last|next|this)\s+)?{_HOLIDAY}(?!\w)", re.IGNORECASE), "[DATE]"),
    (
        re.compile(
            rf"\b(?P<keep>{_TIMING})\s+(?!may\b|mars?\b|mart\b)(?:{'|'.join(MONTHS)})\b(?![-'’]\w|\W{{1,3}}\d)"
            rf"|\b(?P<kept>in|since|last|during|until)\s+(?-i:May|MAY)\b(?!\s+(?:be|have)\b|\W{{1,3}}\d)",
            re.IGNORECASE,
        ),
        r"\g<keep>\g<kept> [DATE]",
    ),
    (
        re.compile(
            r"\b(?=[lntomwfs])(?:(?:last|next|this|on)\s+)?(?:mon|tues|wednes|thurs|fri|satur|sun)day\b",
            re.IGNORECASE,
        ),
        "[DATE]",
    ),
)
"""Dates that say too little to be moved exactly, and what stands for them."""

_SPACED: Final = re.compile(
    r"(?<![\d/.-])(?P<a>\d{1,2})[ \t]{1,2}(?P<s>[/.-])[ \t]{1,2}(?P<b>\d{1,2})[ \t]{1,2}(?P=s)[ \t]{1,2}"
    r"(?P<y>\d{4})(?!\d)"
)
_ROMAN: Final = re.compile(
    r"(?<![\w/.-])(?P<d>\d{1,2})(?P<s>[./ -])(?P<m>I{1,3}|IV|VI{0,3}|IX|XI{0,2})(?P=s)(?P<y>\d{4})\b"
)
_ROMANS: Final = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")


def tidy(text: str) -> str:
    """Dates with blanks around their separators, or with a Roman month, as plain day.month.year or as written."""
    text = _SPACED.sub(r"\g<a>\g<s>\g<b>\g<s>\g<y>", text)
    return _ROMAN.sub(lambda m: f"{int(m['d']):02d}.{_ROMANS.index(m['m']) + 1:02d}.{m['y']}", text)


def parse_month(text: str) -> int:
    """1..12 of a month's name or abbreviation in one of the known languages."""
    folded = text.casefold()
    if folded in _OF_FOREIGN:
        return _OF_FOREIGN[folded]
    return next(i for i, name in enumerate(MONTHS, 1) if name.startswith(folded[:3]))


def month_names(month: int) -> tuple[str, ...]:
    """Names and abbreviations of a month, folded and not, longest first."""
    spelled = {MONTHS[month - 1], MONTHS[month - 1][:3], *_FOREIGN[month - 1].split()}
    spelled |= {"sept"} if month == 9 else set()
    folded = {
        "".join(c for c in unicodedata.normalize("NFKD", n) if not unicodedata.combining(c)) for n in spelled
    }
    return tuple(sorted(spelled | {f.replace("ı", "i") for f in folded}, key=lambda n: (-len(n), n)))


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


def numeric_orders(texts: list[str]) -> tuple[int, int]:
    """How many numeric dates among the texts can only be read day first, and how many only month first."""
    firsts, seconds = 0, 0
    for match in re.finditer(r"(?<!\d)(\d{1,2})[-/.](\d{1,2})[-/.](?:\d{4}|\d\d)(?!\d)", "\n".join(texts)):
        firsts += int(match[1]) > 12 >= int(match[2])
        seconds += int(match[2]) > 12 >= int(match[1])
    return firsts, seconds


def day_first(texts: list[str]) -> bool:
    """True when numeric dates among the texts can only be read day first, and none only month first."""
    firsts, seconds = numeric_orders(texts)
    return firsts > 0 and seconds == 0


def month_like(day: date, like: str) -> str:
    """The English month of ``day`` in the length and case of ``like``."""
    name = MONTHS[day.month - 1]
    name = name if len(like) > 4 or like.casefold() in MONTHS else name[:3]
    return name.upper() if like.isupper() else name if like.islower() else name.capitalize()


def ordinal(day: int) -> str:
    """The ending of a day's number."""
    return "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
