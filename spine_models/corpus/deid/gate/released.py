"""One released DICOM file against its original: elements, UIDs, dates, pixels, and every known identifier.

Belongs here: the rules of the gate for a file, each with a short name.
Does not belong here: reading tables or the lake (frames, lake), engine or policy code.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import pydicom
from pydicom import config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.uid import UID_dictionary

from spine_models.corpus.deid.gate.identifiers import (
    Known,
    date_needles,
    every_element,
    parse_day,
    read_source,
)
from spine_models.corpus.deid.gate.needles import Haystack
from spine_models.corpus.deid.gate.parts import NotStrict, Part, parts_of
from spine_models.corpus.deid.pseudonyms import Pseudonymizer

_PATIENT_GROUP: Final = frozenset(
    {
        0x00100010,
        0x00100020,
        0x00100030,
        0x00100040,
        0x00101010,
        0x00101020,
        0x00101030,
        0x00102160,
        0x001021A0,
        0x001021C0,
        0x00102203,
    }
    | {0x00102000, 0x00102110, 0x00102180, 0x001021B0, 0x00104000}
)
_SAFE_CREATORS: Final = frozenset(
    {
        "SIEMENS MR HEADER",
        "GEMS_PARM_01",
        "GEMS_ACQU_01",
        "Philips Imaging DD 001",
        "Philips MR Imaging DD 001",
        "Image Private Header",
    }
)
_NUMERIC: Final = frozenset(["US", "SS", "UL", "SL", "FL", "FD", "IS", "DS", "AT", "UV", "SV"])
_GROUPS: Final = frozenset(
    {
        0x0002,
        0x0008,
        0x0010,
        0x0012,
        0x0018,
        0x0020,
        0x0028,
        0x0032,
        0x0038,
        0x0040,
        0x2050,
        0x4008,
        0x5200,
        0x7FE0,
    }
)
_SPOKEN: Final = frozenset(["AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"])
_TIMES: Final = frozenset({"DA", "DT", "TM", "UI"})
_NUMBERS: Final = frozenset({"DS", "IS"})
_TIME: Final = re.compile(r"[\d:.+\- \\]*")
_DAY: Final = re.compile(r"\d{8}|\d{4}[.-]\d{2}[.-]\d{2}")
_NATIVE: Final = "1.2.840.10008.1.2.1"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"


@dataclass(frozen=True)
class Subject:
    """A released file and where its original lies."""

    source: Path
    released: Path
    patient: str
    instance: str
    shift_days: int
    year_only: bool


@dataclass
class Gatekeeper:
    """Searchers built once for a batch; per-patient ones on demand."""

    known: Known
    names: Pseudonymizer
    _own: dict[str, Haystack] = field(default_factory=dict)
    _own_numbers: dict[str, Haystack] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.everywhere = Haystack(self.known.shared)
        self.binary = Haystack(self.known.shared, shortest=10)
        # Entropy-coded bytes spell every short word by chance: one of 6 characters in some ten thousand files.
        self.stream = Haystack(self.known.shared, shortest=8)

    def own(self, patient: str) -> Haystack:
        """Searcher of what only this patient's files and rows are searched for; dates are separate."""
        if patient not in self._own:
            self._own[patient] = Haystack(self.known.own.get(patient, ()))
        return self._own[patient]

    def own_numbers(self, patient: str) -> Haystack:
        """The same for numbers of the acquisition, any of which may be a short record number by chance."""
        if patient not in self._own_numbers:
            self._own_numbers[patient] = Haystack(self.known.own.get(patient, ()), shortest=6)
        return self._own_numbers[patient]


@lru_cache(maxsize=1)
def _table() -> tuple[frozenset[int], frozenset[int], frozenset[int], frozenset[int]]:
    """Attributes that must be absent, absent or empty, absent, empty or a dummy, by the options in force; and all."""
    folder = Path(__file__).parent.parent
    rows = [
        row
        for name in ("ps315_annex_e.json", "annex_e_additions.json")
        for row in json.loads((folder / name).read_text(encoding="utf-8"))
    ]
    absent, empty, dummy, listed = set(), set(), set(), set()
    for row in rows:
        if not re.fullmatch(r"[0-9a-f]{8}", row["id"]):
            continue
        softened = any(row.get(k) for k in ("cleanDescOpt", "rtnLongModifDatesOpt", "rtnPatCharsOpt"))
        tag = int(row["id"], 16)
        listed.add(tag)
        if not softened and tag not in (0x00100010, 0x00100020):
            if row["basicProfile"] == "X":
                absent.add(tag)
            elif row["basicProfile"] in ("Z", "X/Z"):
                empty.add(tag)
            elif row["basicProfile"] in ("D", "Z/D", "X/D", "X/Z/D"):
                dummy.add(tag)
    return frozenset(absent), frozenset(empty), frozenset(dummy), frozenset(listed)


def check_file(subject: Subject, keeper: Gatekeeper) -> Counter[str]:
    """Violations of one released file per rule; empty when it may leave."""
    data = subject.released.read_bytes()
    try:
        parts = parts_of(data)
    except NotStrict:
        return Counter({"not_strict_part10": 1})
    try:
        source = read_source(subject.source, pixels=True)
    except OSError:
        source = None
    if source is None:
        return Counter({"source_unreadable": 1})
    found: Counter[str] = Counter()
    with config.disable_value_validation():
        found += _structure(parts, subject)
        found += _uids(parts, source, subject, keeper.names)
        found += _dates(parts, source, subject)
        found += _pixels(parts, data, source, subject)
    found += _identifiers(parts, data, source, subject, keeper)
    return found


def _structure(parts: list[Part], subject: Subject) -> Counter[str]:
    found: Counter[str] = Counter()
    absent, empty, dummy, listed = _table()
    tags = {p.tag for p in parts}
    for part in parts:
        group = part.tag >> 16
        if group % 2:
            kept = part.tag & 0xFFFF <= 0xFF and part.value.decode("latin-1").strip(" \x00") in _SAFE_CREATORS
            numeric = part.creator in _SAFE_CREATORS and part.vr in _NUMERIC
            found["private_element"] += not (kept or numeric)
        elif _foreign(part, listed):
            found["element_not_allowed"] += 1
        if part.tag in absent:
            found["annex_e_remove"] += 1
        if part.tag in empty and part.value.strip(b" \x00"):
            found["annex_e_empty"] += 1
        if (
            part.tag in dummy
            and part.vr in _SPOKEN
            and part.value.strip(b" \x00") not in (b"", b"ANONYMIZED")
        ):
            found["annex_e_replace"] += 1
        if (part.vr == "PN" or part.tag == 0x00100020) and part.value.strip(b" \x00").decode(
            "latin-1"
        ) not in ("", subject.patient, "ANONYMIZED"):
            found["person_name"] += 1
    declared = next((p.value.strip() for p in parts if p.tag == 0x00120062), b"")
    codes = {p.value.strip(b" \x00") for p in parts if p.tag == 0x00080100}
    found["not_declared"] += (
        declared != b"YES"
        or not {b"113100", b"113105", b"113107", b"113108"} <= codes
        or 0x00280303 not in tags
    )
    return +found


def _foreign(part: Part, listed: frozenset[int]) -> bool:
    """An element that neither the allowlist nor the profile has, or unknown bytes that say anything."""
    group = part.tag >> 16
    if part.vr == "UN" and (part.tag not in listed or part.value.strip(b"\x00")):
        return True
    return part.tag not in listed | _PATIENT_GROUP and (group not in _GROUPS or group == 0x0010)


def _uids(parts: list[Part], source: pydicom.Dataset, subject: Subject, names: Pseudonymizer) -> Counter[str]:
    originals = _uid_values(source)
    allowed = {names.uid(uid) for uid in originals} | {names.uid("dummy")}
    found: Counter[str] = Counter()
    for part in parts:
        if part.vr != "UI" or part.tag in (0x00020012,):
            continue
        for uid in part.value.decode("latin-1").strip(" \x00").split("\\"):
            if not uid or uid in UID_dictionary:
                continue
            found["uid_not_mapped"] += uid not in allowed
            found["uid_original"] += uid in originals and not uid.startswith("2.25.")
    name = next((p.value.decode("latin-1").strip(" \x00") for p in parts if p.tag == 0x00080018), "")
    found["file_misnamed"] += not name.startswith("2.25.") or f"{int(name[5:] or 0):032x}" != subject.instance
    return +found


def _uid_values(dataset: pydicom.Dataset) -> set[str]:
    """Every value of an attribute that the file or the standard calls a UID, however oddly it is written."""
    found: set[str] = set()
    for element in every_element(dataset):
        if element.VR == "UI" or (not element.tag.is_private and _is_uid(int(element.tag))):
            value = element.value
            many = value if isinstance(value, list | pydicom.multival.MultiValue) else [value]
            for one in many:
                text = one.decode("latin-1") if isinstance(one, bytes) else str(one or "")
                found |= {part.strip(" \x00\t\r\n") for part in text.split("\\")}
    return found - {""}


@lru_cache(maxsize=4096)
def _is_uid(tag: int) -> bool:
    return bool(dictionary_has_tag(tag)) and dictionary_VR(tag) == "UI"


def _said(source: pydicom.Dataset, tag: int) -> str | None:
    """A source value as text; None where it is absent or cannot be read, and then nothing can be compared."""
    try:
        return str(source[tag].value or "").strip(" \x00") if tag in source else None
    except Exception:
        return None


def _dates(parts: list[Part], source: pydicom.Dataset, subject: Subject) -> Counter[str]:
    found: Counter[str] = Counter()
    for part in parts:
        if part.depth or part.vr not in ("DA", "DT", "TM"):
            continue
        before, after = _said(source, part.tag), part.value.decode("latin-1").strip(" \x00")
        if not after or before is None:
            continue
        if part.vr == "TM":
            # A time that was none is replaced by midnight where the profile wants a value.
            found["time_changed"] += before != after and not (
                after == "000000" and not _TIME.fullmatch(before)
            )
            continue
        old, new = parse_day(before[:10]) if _DAY.match(before) else None, parse_day(after[:8])
        if old is None or new is None:
            continue
        wrong = new != date(old.year, 1, 1) if subject.year_only else (new - old).days != subject.shift_days
        found["date_shift"] += wrong
        found["time_changed"] += part.vr == "DT" and "." not in before[:10] and before[8:] != after[8:]
    return +found


def _pixels(parts: list[Part], data: bytes, source: pydicom.Dataset, subject: Subject) -> Counter[str]:
    value = next((p.value for p in parts if p.tag == 0x7FE00010 and not p.depth), None)
    if value is None or "PixelData" not in source:
        return Counter({"pixels_missing": 1})
    for table in (0x7FE00001, 0x7FE00002):
        source.pop(table, None)  # offsets into the original; frames are found without them
    before = str(source.file_meta.TransferSyntaxUID)
    after = next((p.value.decode("latin-1").strip("\x00") for p in parts if p.tag == 0x00020010), "")
    if after == before and after != _NATIVE:
        try:
            released = pydicom.dcmread(subject.released)
            same = np.array_equal(released.pixel_array, source.pixel_array)
        except Exception:
            # A decoder that gives up on either side leaves the claim unproved, and unproved blocks.
            same = False
        return Counter() if same else Counter({"pixels_differ": 1})
    raw, order = source.PixelData, "<"
    if source.file_meta.TransferSyntaxUID.is_encapsulated:
        raw = np.ascontiguousarray(pydicom.pixels.pixel_array(source, raw=True)).tobytes()
    elif before == _BIG_ENDIAN and source["PixelData"].VR != "OB":
        order = ">"
    size, stored = source.BitsAllocated // 8, int(source.get("BitsStored") or source.BitsAllocated)
    count = int(source.Rows) * int(source.Columns) * int(source.get("NumberOfFrames") or 1)
    if len(raw) < count * size or len(value) != count * size + (count * size) % 2:
        return Counter({"pixels_differ": 1})
    low = int(source.get("HighBit", stored - 1)) + 1 - stored
    signed = int(source.get("PixelRepresentation") or 0) == 1
    old = (np.frombuffer(raw[: count * size], f"{order}u{size}").astype(np.int64) >> low) & (
        (1 << stored) - 1
    )
    new_all = np.frombuffer(value[: count * size], f"<u{size}").astype(np.int64)
    new = (new_all >> low) & ((1 << stored) - 1)
    upper = new_all >> (low + stored)
    clean = np.isin(upper, (0, (1 << (size * 8 - low - stored)) - 1)).all() if signed else not upper.any()
    return Counter() if np.array_equal(old, new) and clean else Counter({"pixels_differ": 1})


def _identifiers(
    parts: list[Part], data: bytes, source: pydicom.Dataset, subject: Subject, keeper: Gatekeeper
) -> Counter[str]:
    native = next((p for p in parts if p.tag == 0x7FE00010 and not p.depth), None)
    image = native.value if native else b""
    encapsulated = image[:4] == b"\xfe\xff\x00\xe0"
    begin = data.rfind(image) if image else len(data)
    found = keeper.everywhere.hits(data[:begin] + b"\x00" + data[begin + len(image) :])
    found += (keeper.stream if encapsulated else keeper.binary).hits(image)
    own = [p for p in parts if p.vr not in _TIMES and p.tag != 0x7FE00010]
    spoken = b"\x01".join(p.value for p in own if p.vr not in _NUMBERS)
    counted = b"\x01".join(p.value for p in own if p.vr in _NUMBERS)
    found += keeper.own(subject.patient).hits(spoken) + keeper.own_numbers(subject.patient).hits(counted)
    days = [p.value.decode("latin-1") for p in parts if p.vr in ("DA", "DT")]
    legitimate = {day for text in days if (day := parse_day(text[:8]))}
    found += Haystack(date_needles(keeper.known, subject.patient, legitimate)).hits(
        b"\x01".join(p.value for p in parts if p.vr not in ("TM", "UI") and p.tag != 0x7FE00010)
    )
    return found
