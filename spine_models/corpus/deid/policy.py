"""What happens to each DICOM attribute: PS3.15 Annex E as data, read behind an allowlist.

Belongs here: one action per attribute under the Basic Profile with Clean Descriptors, Retain Longitudinal
Temporal Information with Modified Dates and Retain Patient Characteristics, and the default for attributes that
the table does not name. Does not belong here: carrying the action out (engine), free prose (text).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final

import yaml
from pydicom.datadict import dictionary_VR

_FOLDER: Final = Path(__file__).parent
_ALLOWED_GROUPS: Final = frozenset({0x0008, 0x0018, 0x0020, 0x0028, 0x0040, 0x2050, 0x5200})
_ALLOWED_TAGS: Final = frozenset({0x7FE00010})
_BULK_KEPT: Final = frozenset({0x7FE00010, 0x00283006})
_REBUILT_BY_ENGINE: Final = frozenset({0x00080005, 0x00120062, 0x00120063, 0x00120064, 0x00280303})
_CODE_VALUES: Final = frozenset(
    {
        0x00080100,
        0x00080102,
        0x00080103,
        0x00080104,
        0x00080119,
        0x00080120,
        0x0008010B,
        0x0008010C,
        0x0008010F,
    }
    | {0x00080105, 0x00080106, 0x00080107, 0x0008010D, 0x00080117, 0x00080118}
)
_TYPE2: Final = frozenset(
    {
        0x00080020,
        0x00080030,
        0x00080050,
        0x00080070,
        0x00080090,
        0x00100010,
        0x00100020,
        0x00100030,
        0x00100040,
    }
    | {0x00200010, 0x00400555, 0x00180010}
)
_ENHANCED_TYPE1: Final = frozenset({0x00181000, 0x00081090, 0x00181020, 0x00080023, 0x00080033})
_TEXT: Final = frozenset({"LO", "SH", "ST", "LT", "UC", "UT", "CS"})
_DATES: Final = {"DA": "date", "DT": "datetime", "TM": "time"}
_NUMBERS: Final = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"})
FIELDS: Final = (
    {0x00080070: "vendor", 0x00081090: "model", 0x00181020: "software"}
    | dict.fromkeys((0x00181250, 0x00181251, 0x00189047, 0x00189046), "coil")
    | {0x00102160: "ethnic"}
)
"""Attributes whose words come from a list of their own."""


class Action(StrEnum):
    """What the engine does with one attribute; the letters are those of PS3.15 table E.1-1a."""

    REMOVE = "remove"  # X
    EMPTY = "empty"  # Z
    DUMMY = "dummy"  # D
    UID = "uid"  # U
    DATE = "date"  # C of the modified-dates option
    DATETIME = "datetime"
    TIME = "time"
    CLEAN = "clean"  # C: words of the controlled vocabulary
    AGE = "age"
    NUMBER_TEXT = "number_text"  # DS and IS: kept when they are numbers
    KEEP = "keep"
    SEQUENCE = "sequence"  # items are walked
    PIXELS = "pixels"
    PATIENT = "patient"  # patient ID and name: the pseudonym
    ENGINE = "engine"  # written afresh by the engine


@dataclass(frozen=True)
class PrivateRule:
    """A private numeric attribute that may stay."""

    creator: str
    vr: str
    most: int
    """The greatest number of values; more than the maker defines is something else."""


@lru_cache(maxsize=1)
def _table() -> tuple[dict[int, dict[str, str]], str]:
    raw = (_FOLDER / "ps315_annex_e.json").read_bytes()
    rows = {}
    for row in json.loads(raw):
        if len(row["id"]) == 8 and all(c in "0123456789abcdef" for c in row["id"]):
            rows[int(row["id"], 16)] = row
    parts = [raw, *((_FOLDER / n).read_bytes() for n in ("vocabulary.yaml", "private_safe.yaml"))]
    # Attributes that a later edition of the standard names and the table above does not.
    parts.append((_FOLDER / "annex_e_additions.json").read_bytes())
    for row in json.loads(parts[-1]):
        rows.setdefault(int(row["id"], 16), row)
    return rows, hashlib.sha256(b"\x00".join(parts)).hexdigest()[:12]


def table_id() -> str:
    """Fingerprint of every data file that decides an action; stands in each audit record."""
    return _table()[1]


@lru_cache(maxsize=1)
def private_safe() -> dict[tuple[int, str, int], PrivateRule]:
    """Private attributes that stay, by (group, creator, element within the block)."""
    document = yaml.safe_load((_FOLDER / "private_safe.yaml").read_text(encoding="utf-8"))
    return {
        (row["group"], row["creator"], row["element"]): PrivateRule(row["creator"], row["vr"], row["values"])
        for row in document
    }


@lru_cache(maxsize=8192)
def standard_vr(tag: int) -> str | None:
    """The VR (perhaps ``US or SS``) of a standard attribute; None for one that the standard does not know."""
    if (tag >> 16) & 1:
        return None
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


@lru_cache(maxsize=8192)
def action_for(tag: int, enhanced: bool = False) -> Action:
    """The action for a standard or unknown attribute; private ones are decided by ``private_safe``.

    Args:
        tag: group << 16 | element.
        enhanced: the object is Enhanced MR, which requires some values that classic MR may lack.
    """
    group, vr = tag >> 16, standard_vr(tag)
    if (
        vr is None
        or not tag & 0xFFFF  # a group's length is of the file as it was
        or group < 0x0004
        or 0x5000 <= group <= 0x501E
        or 0x6000 <= group <= 0x601E
        or group > 0x7FE0
    ):
        return Action.REMOVE
    if tag in _REBUILT_BY_ENGINE:
        return Action.ENGINE
    if tag in (0x00100010, 0x00100020):
        return Action.PATIENT
    row = _table()[0].get(tag)
    if row is not None:
        return _from_table(tag, vr, row, enhanced)
    if tag not in _ALLOWED_TAGS and group not in _ALLOWED_GROUPS:
        return Action.REMOVE
    if tag in _CODE_VALUES:
        return Action.REMOVE
    return _by_vr(tag, vr)


def _from_table(tag: int, vr: str, row: dict[str, str], enhanced: bool) -> Action:
    profile = row["basicProfile"]
    if row.get("rtnPatCharsOpt") == "K":
        return {"AS": Action.AGE, "DS": Action.NUMBER_TEXT, "US": Action.KEEP}.get(vr, Action.CLEAN)
    if row.get("rtnLongModifDatesOpt") == "C" and vr in _DATES:
        return Action(_DATES[vr])
    if tag == 0x00080201:
        return Action.TIME
    if row.get("cleanDescOpt") == "C" or row.get("rtnPatCharsOpt") == "C":
        if vr in _TEXT:
            return Action.CLEAN
        if vr == "SQ":
            return Action.SEQUENCE
    if profile == "U":
        return Action.UID
    if profile == "X/Z/U*":
        return Action.SEQUENCE
    if profile == "X":
        return Action.REMOVE
    if profile == "Z":
        return Action.EMPTY
    if profile == "D":
        return Action.DUMMY
    if enhanced and tag in _ENHANCED_TYPE1 and "D" in profile:
        return Action.DUMMY
    if tag in _TYPE2 and "Z" in profile:
        return Action.EMPTY
    return Action.REMOVE if profile.startswith("X") else Action.EMPTY


def _by_vr(tag: int, vr: str) -> Action:
    if vr in _TEXT:
        return Action.CLEAN
    if vr in _DATES:
        return Action(_DATES[vr])
    if tag in _BULK_KEPT:
        return Action.PIXELS if tag == 0x7FE00010 else Action.KEEP
    if vr in ("DS", "IS"):
        return Action.NUMBER_TEXT
    if vr in _NUMBERS or vr == "US or SS":
        return Action.KEEP
    return {"SQ": Action.SEQUENCE, "UI": Action.UID, "AS": Action.AGE}.get(vr, Action.REMOVE)


@lru_cache(maxsize=4096)
def fallback(tag: int, enhanced: bool = False) -> Action:
    """What follows when cleaning leaves nothing: the attribute goes, stays empty, or gets a dummy value."""
    row = _table()[0].get(tag)
    profile = row["basicProfile"] if row else "X"
    if profile in ("D", "Z/D") or (enhanced and tag in _ENHANCED_TYPE1):
        return Action.DUMMY
    return Action.EMPTY if profile.startswith("Z") or tag in _TYPE2 else Action.REMOVE
