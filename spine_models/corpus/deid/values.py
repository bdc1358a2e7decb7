"""What becomes of one value: bytes in, released bytes out, or nothing.

Belongs here: every action of the policy on a single element, and the counts that the audit reports.
Does not belong here: nesting, private blocks, coded entries (engine, private), or choosing the action (policy).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from pydicom.dataelem import DataElement

from spine_models.corpus.deid.dates import PatientDates
from spine_models.corpus.deid.encode import Bytes, Items
from spine_models.corpus.deid.items import Element, Encoding
from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.deid.numerals import SIZES, binary_number, most_values, text_number
from spine_models.corpus.deid.policy import FIELDS, Action
from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from spine_models.corpus.deid.vocabulary import rebuild, words

_DUMMY: Final = "ANONYMIZED"
_TIME: Final = re.compile(rb"(?:[01]\d|2[0-3]):?(?:[0-5]\d:?(?:[0-6]\d(?:\.\d{1,6})?)?)?|[+-]\d{4}")
_AGE: Final = re.compile(rb"(\d{3})([DWMY])")
_WIDE_SEGMENT: Final = re.compile(r"\x1b\$[()*+,\-./]?[0-~][^\x1b]*")
_ESCAPE: Final = re.compile(r"\x1b[ -/]*[0-~]")
_SINGLE: Final = frozenset({"ST", "LT", "UT"})
_TEXT_VRS: Final = frozenset(
    ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
)


@dataclass(frozen=True)
class Patient:
    """What the engine must know of the patient of a file."""

    key: str
    dates: PatientDates
    known: KnownIdentifiers = field(default_factory=KnownIdentifiers)


class Repeated(NamedTuple):
    """A sequence that was walked before, with its counts: frames of one object say much the same."""

    element: Bytes | Items | None
    counts: dict[str, int]


@dataclass
class Walk:
    """State of one object's walk: whose it is, how it is encoded, what may not stay, what was done."""

    names: Pseudonymizer
    patient: Patient
    encoding: Encoding
    enhanced: bool
    little: bool
    signed: bool
    veto: frozenset[str]
    numbers: frozenset[str]
    counts: Counter[str] = field(default_factory=Counter)
    found: list[tuple[str, str]] = field(default_factory=list)
    repeated: dict[tuple[int, bytes], Repeated] = field(default_factory=dict)
    private_kept: bool = False


def text_element(vr: str, value: bytes) -> Bytes:
    """An element of text bytes, padded to even length."""
    return Bytes(vr, value + (b"\x00" if vr == "UI" else b" ") if len(value) % 2 else value)


def value_bytes(element: Element, vr: str, walk: Walk) -> bytes | None:
    """The value as little-endian bytes of the standard VR, or None where the file's VR contradicts it."""
    if not isinstance(element, DataElement):
        if element.VR == "UN" or element.VR == "SQ" or element.value is None:
            return element.value if element.value == b"" and element.VR != "SQ" else None
        if vr in _TEXT_VRS:
            return bytes(element.value) if element.VR is None or element.VR in _TEXT_VRS else None
        if element.VR in _TEXT_VRS:
            return None
        if walk.little or not element.value:
            return bytes(element.value)
        size = SIZES.get(plain_vr(vr, walk), 1) // (2 if vr == "AT" else 1)
        whole = bytes(element.value)
        return b"".join(whole[i : i + size][::-1] for i in range(0, len(whole), size))
    value = element.value
    if isinstance(value, bytes):
        return value
    if vr in _TEXT_VRS:
        parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
        return "\\".join("" if p is None else str(p) for p in parts).encode("utf-8", "replace")
    return None


def plain_vr(vr: str, walk: Walk) -> str:
    """The VR to write where the standard leaves a choice."""
    if vr == "US or SS":
        return "SS" if walk.signed else "US"
    return "OW" if " or " in vr else vr


def number_element(tag: int, vr: str, value: bytes, walk: Walk) -> Bytes | None:
    """A binary number kept, or nothing where the bytes are no numbers of that VR."""
    plain = plain_vr(vr, walk)
    most = most_values(tag) if plain != "OW" else None
    if not binary_number(plain, value, most=most, words=walk.veto, numbers=walk.numbers):
        walk.counts["removed"] += 1
        return None
    walk.counts["kept"] += 1
    return Bytes(plain, value)


def blank(vr: str, action: Action, walk: Walk) -> Bytes | Items | None:
    """The element removed (None), emptied, or with a dummy value."""
    if action is Action.REMOVE:
        walk.counts["removed"] += 1
        return None
    if action is Action.EMPTY:
        walk.counts["emptied"] += 1
        return Items([]) if vr == "SQ" else Bytes(plain_vr(vr, walk), b"")
    walk.counts["replaced"] += 1
    if vr == "SQ":
        return Items([{0x00080104: text_element("LO", _DUMMY.encode())}])
    plain = plain_vr(vr, walk)
    values = {
        "AS": b"000Y",
        "DS": b"0",
        "IS": b"0",
        "UR": b"urn:anonymized",
        "DA": b"19000101",
        "TM": b"000000",
    }
    values |= {"DT": b"19000101", "UI": walk.names.uid("dummy").encode()}
    if plain in _TEXT_VRS:
        return text_element(plain, values.get(plain, _DUMMY.encode()))
    return Bytes(plain, bytes(max(2, SIZES.get(plain, 2))))


def transformed(number: int, vr: str, action: Action, value: bytes, walk: Walk) -> bytes | None:
    """New bytes of a text value under an action; None where it cannot be carried out on this value."""
    stripped = value.strip(b" \x00")
    if not stripped:
        return b""
    if action is Action.UID:
        walk.counts["uids_mapped"] += 1
        parts = stripped.decode("latin-1").split("\\")
        return "\\".join(walk.names.uid(part) for part in parts).encode()
    if action is Action.CLEAN:
        return _described(number, vr, stripped, walk)
    if action is Action.NUMBER_TEXT:
        parts = stripped.split(b"\\")
        fine = all(not p.strip() or text_number(p, vr, walk.numbers) for p in parts)
        walk.counts["kept"] += fine
        return stripped if fine else None
    if action is Action.TIME:
        fine = all(_TIME.fullmatch(p.strip()) for p in stripped.split(b"\\"))
        walk.counts["kept"] += fine
        return stripped if fine else None
    if action is Action.AGE:
        return _age(stripped, walk)
    move = walk.patient.dates.da if action is Action.DATE else walk.patient.dates.dt
    moved = [move(part) if part.strip() else "" for part in stripped.decode("latin-1").split("\\")]
    if any(part is None for part in moved):
        return None
    walk.counts["dates_shifted"] += 1
    return "\\".join(part or "" for part in moved).encode()


def _age(value: bytes, walk: Walk) -> bytes | None:
    match = _AGE.fullmatch(value)
    if not match:
        return None
    years = int(match[1]) / {b"D": 365.25, b"W": 52.18, b"M": 12.0, b"Y": 1.0}[match[2]]
    walk.counts["replaced" if years >= 90 else "kept"] += 1
    return b"090Y" if years >= 90 else value


def _described(number: int, vr: str, value: bytes, walk: Walk) -> bytes:
    text = without_wide_characters(_decoded(value))
    if vr == "CS":
        coded = [_coded_string(part) for part in text.split("\\")]
        new = "" if not any(coded) or _spells(coded) else "\\".join(coded)
    else:
        listed = FIELDS.get(number, "description")
        veto = frozenset() if listed in ("vendor", "model", "software") else walk.veto
        parts = [text] if vr in _SINGLE else text.split("\\")
        new = "\\".join(rebuild(part, listed, veto) for part in parts).strip(
            "\\" if vr not in _SINGLE else ""
        )
    walk.counts["kept" if new == text else "cleaned"] += 1
    return new.encode("ascii")


def _decoded(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def without_wide_characters(text: str) -> str:
    """The text outside ISO 2022 segments of two-byte characters, whose bytes look like ASCII words."""
    if "\x1b" not in text:
        return text
    return _ESCAPE.sub(" ", _WIDE_SEGMENT.sub(" ", text))


def _spells(coded: list[str]) -> bool:
    """Three values of one letter in a row could spell a name; no coded attribute needs them."""
    return any(all(len(c.strip()) == 1 for c in coded[i : i + 3]) for i in range(len(coded) - 2))


@lru_cache(maxsize=4096)
def _coded_string(value: str) -> str:
    stripped = value.strip()
    if len(stripped) == 1 or stripped.casefold() in words("description"):
        return stripped if stripped.isascii() else ""
    return stripped if rebuild(stripped) == stripped else ("OTHER" if rebuild(stripped) else "")
