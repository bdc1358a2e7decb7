"""Numbers that may stay: text numbers and binary numbers that are what they say and no identifier in disguise.

Belongs here: whether the value of a numeric VR is a plausible number, of the right multiplicity, and none of the
patient's known numbers or words. Does not belong here: which attribute is numeric (policy), writing it (values).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from pydicom.datadict import dictionary_VM

from spine_models.corpus.deid.dates import safe_date

SIZES: Final = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "AT": 4, "UV": 8, "SV": 8, "OW": 2}
NUMBER: Final = re.compile(rb"[ ]*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[ ]*")
_CODES: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_TEXT_BYTES: Final = re.compile(rb"[A-Za-z0-9 .,'^_/\-]*\x00*")
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]{8,}")
_LETTERS: Final = re.compile(rb"[A-Za-z]")
_LONGEST_INTEGER: Final = 10
"""Digits of the largest 32-bit integer; no acquisition number is longer, and record numbers often are."""
_EXTREMES: Final = {"FD": (1e-40, 1e40), "FL": (1e-30, 1e30)}


@lru_cache(maxsize=8192)
def most_values(tag: int) -> int | None:
    """The greatest number of values the standard lets an attribute hold; None for no limit or an unknown one."""
    try:
        last = str(dictionary_VM(tag)).split("-")[-1]
    except KeyError:
        return None
    return int(last) if last.isdigit() else None


def text_number(part: bytes, vr: str, numbers: Collection[str]) -> bool:
    """True for one DS or IS value that is a number, not absurdly long, no date and none of ``numbers``.

    Args:
        part: one value, blanks and all.
        vr: DS or IS.
        numbers: digits of the patient's identifiers, without leading zeros.
    """
    if not NUMBER.fullmatch(part):
        return False
    text = part.strip().decode("ascii").lstrip("+-").lower()
    mantissa, _, _ = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    core = whole.lstrip("0")
    if len(core) > _LONGEST_INTEGER or (vr == "IS" and int(core or "0") >= 2**31) or _is_date(core):
        return False
    spelled = (whole + fraction).lstrip("0")
    hidden = (fraction, fraction.lstrip("0"), spelled, spelled.rstrip("0"))
    return core not in numbers and not any(len(h) >= 8 and h in numbers for h in hidden)


def binary_number(
    vr: str, value: bytes, *, most: int | None, words: frozenset[str], numbers: frozenset[str]
) -> bool:
    """True for little-endian bytes that are numbers of the VR and nothing else.

    Args:
        vr: US, SS, UL, SL, UV, SV, FL, FD, AT or OW.
        value: all values of the element.
        most: how many values it may hold; None for no limit.
        words: lower-case words of the patient's names.
        numbers: digits of the patient's identifiers, without leading zeros.
    """
    size = SIZES.get(vr, 1)
    if len(value) % size or (most is not None and len(value) // size > most):
        return False
    if len(value) < 4:
        return True
    if vr == "OW" and not _monotonic(value):
        return False
    if _texty(value, whole=vr not in ("FL", "FD")) or known_bytes(words, numbers).search(value.lower()):
        return False
    return vr not in ("UL", "SL", "UV", "SV", "FL", "FD") or _plain_values(vr, value, numbers)


def _texty(value: bytes, *, whole: bool) -> bool:
    """Bytes that read as text, or hold a stretch of it; numbers of acquisition do so less than once in a million.

    Whole numbers are small, so that ten printable bytes in a row are enough; fractions have random last digits.
    """
    if len(value) >= 6 and _TEXT_BYTES.fullmatch(value) and len(_LETTERS.findall(value)) >= 6:
        return True
    runs = _PRINTABLE.findall(value) if len(value) >= 8 else []
    return any((whole and len(run) >= 10) or len(_LETTERS.findall(run)) >= 6 for run in runs)


def _plain_values(vr: str, value: bytes, numbers: frozenset[str]) -> bool:
    values = struct.unpack(f"<{len(value) // SIZES[vr]}{_CODES[vr]}", value)
    if vr in _EXTREMES:
        low, high = _EXTREMES[vr]
        if any(v and not low <= abs(v) <= high and not math.isinf(v) for v in values):
            return False
        whole = [str(abs(int(v))) for v in values if abs(v) >= 1e5 and not math.isinf(v)]
    else:
        whole = [str(abs(v)) for v in values if abs(v) >= 10**5]
    return not any(core in numbers or _is_date(core) for core in whole)


def _monotonic(value: bytes) -> bool:
    """A look-up table rises or falls throughout; text does neither."""
    table = list(struct.unpack(f"<{len(value) // 2}H", value))
    return table == sorted(table) or table == sorted(table, reverse=True)


def _is_date(core: str) -> bool:
    return (
        len(core) == 8
        and core[:2] in ("19", "20")
        and safe_date(int(core[:4]), int(core[4:6]), int(core[6:])) is not None
    )


@lru_cache(maxsize=512)
def known_bytes(words: frozenset[str], numbers: frozenset[str]) -> re.Pattern[bytes]:
    """A pattern of every known word of four letters and more and every known number, for lower-cased bytes."""
    texts = [w for w in words if len(w) >= 4 and w.isascii()] + [n for n in numbers if len(n) >= 6]
    spelled = {t.encode(codec) for t in texts for codec in ("ascii", "utf-16-le", "utf-16-be")}
    spelled |= {w.encode("utf-8") for w in words if not w.isascii() and len(w.encode("utf-8")) >= 6}
    # Nothing known matches nothing.
    return re.compile(
        b"|".join(re.escape(s) for s in sorted(spelled, key=lambda s: (-len(s), s))) or rb"(?!)"
    )
