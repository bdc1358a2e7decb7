"""One DICOM object in, one de-identified Part 10 file out: the walk over every element at every depth.

Belongs here: carrying out the policy's actions, fresh file meta and preamble, coded entries, method codes.
Does not belong here: which action an attribute gets (policy), whether the object may leave (quarantine).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from typing import Final

from pydicom import config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import read_partial
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from spine_models.corpus.deid.codes import meaning_of
from spine_models.corpus.deid.dates import PatientDates
from spine_models.corpus.deid.encode import TooLong, part10
from spine_models.corpus.deid.known import KIND_OF_TAG, KnownIdentifiers
from spine_models.corpus.deid.pixels import CleanPixels, clean_pixels
from spine_models.corpus.deid.policy import FIELDS, Action, action_for, fallback, private_safe, standard_vr
from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from spine_models.corpus.deid.quarantine import ENHANCED_MR, Reason, Refused, check_header
from spine_models.corpus.deid.vocabulary import rebuild, words

ENGINE: Final = "spineagent-deid/1"
_MAX_DEPTH: Final = 24
_DUMMY: Final = "ANONYMIZED"
_METHOD: Final = "PS3.15 Basic Profile with clean descriptors"
_CODES: Final = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
_SAFE_PRIVATE: Final = ("113111", "Retain Safe Private Option")
_NUMBER: Final = re.compile(rb"[ ]*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[ ]*")
_TIME: Final = re.compile(rb"(?:[01]\d|2[0-3]):?(?:[0-5]\d:?(?:[0-6]\d(?:\.\d{1,6})?)?)?|[+-]\d{4}")
_AGE: Final = re.compile(rb"(\d{3})([DWMY])")
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]{9,}\x00?")
_SINGLE: Final = frozenset({"ST", "LT", "UT"})
_SIZES: Final = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "AT": 4, "UV": 8, "SV": 8, "OW": 2}
_TEXT_VRS: Final = frozenset("AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())


@dataclass(frozen=True)
class Patient:
    """What the engine must know of the patient of a file."""

    key: str
    dates: PatientDates
    known: KnownIdentifiers = KnownIdentifiers()


@dataclass
class Cleaned:
    """A released object: its file, the dataset that was written, and what was done to it."""

    payload: bytes
    dataset: Dataset
    pixel_sha256: str
    counts: Counter[str]
    known: KnownIdentifiers


@dataclass
class _Walk:
    names: Pseudonymizer
    patient: Patient
    enhanced: bool
    little: bool
    signed: bool
    veto: frozenset[str]
    numbers: frozenset[str]
    counts: Counter[str] = field(default_factory=Counter)
    found: list[tuple[str, str]] = field(default_factory=list)
    private_kept: bool = False


def read_object(data: bytes) -> FileDataset:
    """The object up to and including its pixel data; bytes after that are never looked at.

    Raises:
        Refused: not readable as a Part 10 file with a dataset, or cut short.
    """
    try:
        with config.disable_value_validation():
            return _quietly(data)
    except EOFError:
        raise Refused(Reason.TRUNCATED) from None
    except Exception:
        # A hostile header can raise anything from the reader; the reason is the same and no value may surface.
        raise Refused(Reason.UNREADABLE) from None


def _quietly(data: bytes) -> FileDataset:
    return read_partial(BytesIO(data), stop_when=lambda tag, _vr, _length: tag > 0x7FE00010)


def deidentify_object(source: Dataset, *, names: Pseudonymizer, patient: Patient) -> Cleaned:
    """Apply the policy to a whole object.

    Args:
        source: as ``read_object`` gave it.
        names: pseudonyms of the site.
        patient: pseudonym, dates and known identifiers of the object's patient.

    Raises:
        Refused: the object must stay in the restricted zone; the reason code says why.
    """
    with config.disable_value_validation():
        probe = _probe(source)
        check_header(probe)
        pixels = clean_pixels(probe)
        walk = _prepare(probe, names, patient)
        out = _dataset(source, walk, 0, pixels)
        walk.counts["cleaned"] += pixels.cleaned
        payload = _written(out, pixels)
        return Cleaned(payload, out, pixels.sha256, walk.counts, KnownIdentifiers.of(walk.found))


def _probe(source: Dataset) -> Dataset:
    """A shallow copy to ask questions of: asking decodes elements, and the walk wants their bytes."""
    probe = Dataset({tag: source.get_item(tag) for tag in source.keys()})
    probe.set_original_encoding(*source.original_encoding, source.original_character_set)
    meta = getattr(source, "file_meta", None)
    if meta is not None:
        probe.file_meta = meta
    return probe


def _prepare(source: Dataset, names: Pseudonymizer, patient: Patient) -> _Walk:
    own = KnownIdentifiers.of(_identifiers(source))
    known = patient.known | own
    return _Walk(
        names=names,
        patient=patient,
        enhanced=str(source.SOPClassUID) == ENHANCED_MR,
        little=str(source.file_meta.TransferSyntaxUID) != "1.2.840.10008.1.2.2",
        signed=int(source.get("PixelRepresentation") or 0) == 1,
        veto=known.name_words(),
        numbers=known.numbers(),
    )


def _identifiers(source: Dataset) -> Iterator[tuple[str, str]]:
    for tag in list(source.keys()):
        kind = KIND_OF_TAG.get(int(tag)) or ("name" if standard_vr(int(tag)) == "PN" else None)
        if kind:
            yield from _spoken(source, tag, kind)


def _spoken(source: Dataset, tag: BaseTag, kind: str) -> Iterator[tuple[str, str]]:
    try:
        value = source[tag].value
    except Exception:
        # Undecodable text cannot be quoted by a report either; the attribute itself is removed regardless.
        return
    for one in value if isinstance(value, list | tuple) or hasattr(value, "append") else [value]:
        if one not in (None, ""):
            yield kind, str(one)


def _dataset(source: Dataset, walk: _Walk, depth: int, pixels: CleanPixels | None = None) -> Dataset:
    if depth > _MAX_DEPTH:
        raise Refused(Reason.UNREADABLE)
    kept: dict[BaseTag, DataElement | RawDataElement] = {}
    private: list[BaseTag] = []
    # Taken before any sequence is opened: opening one makes the reader decode elements around it.
    raw = {tag: source.get_item(tag) for tag in source.keys()}
    for tag in sorted(raw):
        number = int(tag)
        if (number >> 16) & 1:
            private.append(tag)
            continue
        action = action_for(number, walk.enhanced)
        if action is Action.PIXELS:
            if pixels is not None:
                kept[tag] = _raw(tag, pixels.vr, pixels.value, undefined=pixels.transfer_syntax not in _PLAIN)
                walk.counts["kept"] += 1
            continue
        element = _element(source, raw[tag], tag, action, walk, depth)
        if element is not None:
            kept[tag] = element
    if private:
        _private(source, private, kept, walk)
    _coded(source, kept, walk)
    if not depth:
        _declare(kept, walk)
        if not kept.keys() >= _IMAGE:
            raise Refused(Reason.UNREADABLE)
    out = Dataset(kept)
    out.set_original_encoding(False, True, "iso8859")
    return out


_IMAGE: Final = frozenset(BaseTag(0x00280000 + n) for n in (0x02, 0x04, 0x10, 0x11, 0x100, 0x101, 0x102, 0x103))
"""Attributes without which nobody can read the pixels; an object that lacks one is not released."""
_PLAIN: Final = frozenset({"1.2.840.10008.1.2.1"})


def _raw(tag: BaseTag, vr: str, value: bytes, *, undefined: bool = False) -> RawDataElement:
    length = 0xFFFFFFFF if undefined else len(value)
    return RawDataElement(tag, vr, length, value, 0, False, True)


def _text(tag: BaseTag, vr: str, value: bytes) -> RawDataElement:
    padding = (b"\x00" if vr == "UI" else b" ") * (len(value) % 2)
    return _raw(tag, vr, value + padding)


def _element(
    source: Dataset, raw: DataElement | RawDataElement, tag: BaseTag, action: Action, walk: _Walk, depth: int
) -> DataElement | RawDataElement | None:
    number = int(tag)
    vr = standard_vr(number) or "UN"
    if depth and (number in KIND_OF_TAG or vr == "PN"):
        walk.found.extend(_spoken(source, tag, KIND_OF_TAG.get(number, "name")))
    if action is Action.REMOVE:
        walk.counts["removed"] += 1
        return None
    if action is Action.ENGINE:
        return None
    if action is Action.PATIENT:
        walk.counts["replaced"] += 1
        return _text(tag, vr, walk.patient.key.encode())
    if action is Action.EMPTY or action is Action.DUMMY:
        return _blank(tag, vr, action, walk)
    if action is Action.SEQUENCE:
        return _sequence(source, tag, number, walk, depth)
    value = _value_bytes(raw, vr, walk)
    if value is None:
        return _blank(tag, vr, Action.REMOVE, walk)
    if action is Action.KEEP:
        return _number(tag, vr, value, walk)
    new = _transformed(number, vr, action, value, walk)
    if new is None or (not new and value.strip(b" \x00")):
        return _blank(tag, vr, fallback(number, walk.enhanced), walk)
    return _text(tag, vr, new)


def _value_bytes(element: DataElement | RawDataElement, vr: str, walk: _Walk) -> bytes | None:
    if isinstance(element, RawDataElement):
        if element.VR == "UN" or element.VR == "SQ" or element.value is None:
            return element.value if element.value == b"" and element.VR != "SQ" else None
        if vr in _TEXT_VRS:
            return bytes(element.value) if element.VR is None or element.VR in _TEXT_VRS else None
        if element.VR in _TEXT_VRS:
            return None
        if walk.little or not element.value:
            return bytes(element.value)
        size = _SIZES.get(_plain_vr(vr, walk), 1) // (2 if vr == "AT" else 1)
        whole = bytes(element.value)
        return b"".join(whole[i : i + size][::-1] for i in range(0, len(whole), size))
    value = element.value
    if isinstance(value, bytes):
        return value
    if vr in _TEXT_VRS:
        parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)
        return "\\".join("" if p is None else str(p) for p in parts).encode("utf-8", "replace")
    return None


def _plain_vr(vr: str, walk: _Walk) -> str:
    if vr == "US or SS":
        return "SS" if walk.signed else "US"
    return "OW" if " or " in vr else vr


def _number(tag: BaseTag, vr: str, value: bytes, walk: _Walk) -> RawDataElement | None:
    plain = _plain_vr(vr, walk)
    if len(value) % _SIZES.get(plain, 1) or (plain != "OW" and _PRINTABLE.fullmatch(value)):
        walk.counts["removed"] += 1
        return None
    walk.counts["kept"] += 1
    return _raw(tag, plain, value)


def _blank(tag: BaseTag, vr: str, action: Action, walk: _Walk) -> DataElement | RawDataElement | None:
    if action is Action.REMOVE:
        walk.counts["removed"] += 1
        return None
    if action is Action.EMPTY:
        walk.counts["emptied"] += 1
        return DataElement(tag, "SQ", Sequence([])) if vr == "SQ" else _raw(tag, _plain_vr(vr, walk), b"")
    walk.counts["replaced"] += 1
    if vr == "SQ":
        item = Dataset({BaseTag(0x00080104): _text(BaseTag(0x00080104), "LO", _DUMMY.encode())})
        item.set_original_encoding(False, True, "iso8859")
        return DataElement(tag, "SQ", Sequence([item]))
    plain = _plain_vr(vr, walk)
    values = {"AS": b"000Y", "DS": b"0", "IS": b"0", "UR": b"urn:anonymized", "DA": b"19000101", "TM": b"000000"}
    values |= {"DT": b"19000101", "UI": walk.names.uid("dummy").encode()}
    if plain in _TEXT_VRS:
        return _text(tag, plain, values.get(plain, _DUMMY.encode()))
    return _raw(tag, plain, bytes(max(2, _SIZES.get(plain, 2))))


def _sequence(source: Dataset, tag: BaseTag, number: int, walk: _Walk, depth: int) -> DataElement | None:
    element = source.get_item(tag)
    if isinstance(element, RawDataElement) and element.VR == "UN":
        return _blank(tag, "SQ", fallback(number, walk.enhanced), walk)  # type: ignore[return-value]
    try:
        items = list(source[tag].value or [])
    except Refused:
        raise
    except Exception:
        # A sequence that cannot be parsed cannot be cleaned: it goes as its attribute's fallback says.
        items = []
    cleaned = [_dataset(item, walk, depth + 1) for item in items if isinstance(item, Dataset)]
    filled = [item for item in cleaned if len(item)]
    if items and not filled:
        return _blank(tag, "SQ", fallback(number, walk.enhanced), walk)  # type: ignore[return-value]
    return DataElement(tag, "SQ", Sequence(cleaned if filled else []))


def _transformed(number: int, vr: str, action: Action, value: bytes, walk: _Walk) -> bytes | None:
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
        fine = all(not p.strip() or (_NUMBER.fullmatch(p) and _anonymous(p, walk.numbers)) for p in parts)
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


def _anonymous(number: bytes, numbers: frozenset[str]) -> bool:
    return number.strip().lstrip(b"0").decode("ascii", "replace") not in numbers


def _age(value: bytes, walk: _Walk) -> bytes | None:
    match = _AGE.fullmatch(value)
    if not match:
        return None
    years = int(match[1]) / {b"D": 365.25, b"W": 52.18, b"M": 12.0, b"Y": 1.0}[match[2]]
    walk.counts["replaced" if years >= 90 else "kept"] += 1
    return b"090Y" if years >= 90 else value


def _described(number: int, vr: str, value: bytes, walk: _Walk) -> bytes:
    text = value.decode("latin-1")
    if vr == "CS":
        new = "\\".join(_coded_string(part) for part in text.split("\\"))
        if not new.strip("\\"):
            new = ""
    else:
        listed = FIELDS.get(number, "description")
        veto = frozenset() if listed in ("vendor", "model", "software") else walk.veto
        parts = [text] if vr in _SINGLE else text.split("\\")
        new = "\\".join(rebuild(part, listed, veto) for part in parts).strip("\\" if vr not in _SINGLE else "")
    walk.counts["kept" if new == text else "cleaned"] += 1
    return new.encode("ascii")


@lru_cache(maxsize=4096)
def _coded_string(value: str) -> str:
    stripped = value.strip()
    if len(stripped) == 1 or stripped.casefold() in words("description"):
        return stripped if stripped.isascii() else ""
    return stripped if rebuild(stripped) == stripped else ("OTHER" if rebuild(stripped) else "")


def _private(
    source: Dataset, tags: list[BaseTag], kept: dict[BaseTag, DataElement | RawDataElement], walk: _Walk
) -> None:
    creators: dict[tuple[int, int], str] = {}
    for tag in tags:
        group, element = int(tag) >> 16, int(tag) & 0xFFFF
        if 0x10 <= element <= 0xFF:
            value = getattr(source.get_item(tag), "value", b"")
            creators[group, element] = (value.decode("latin-1") if isinstance(value, bytes) else str(value)).strip(" \x00")
            continue
        creator = creators.get((group, element >> 8), "")
        rule = private_safe().get((group, creator, element & 0xFF))
        kept_one = _safe_private(source, tag, rule.vr, walk) if rule else None
        if kept_one is None:
            walk.counts["removed"] += 1
            continue
        block = BaseTag(group << 16 | element >> 8)
        kept[block] = _text(block, "LO", creator.encode("ascii"))
        kept[tag] = kept_one
        walk.counts["kept"] += 1
        walk.private_kept = True


def _safe_private(source: Dataset, tag: BaseTag, vr: str, walk: _Walk) -> RawDataElement | None:
    element = source.get_item(tag)
    if not isinstance(element, RawDataElement) or element.VR not in (None, "UN", vr) or not element.value:
        return None
    value = bytes(element.value)
    if vr in ("IS", "DS"):
        parts = value.strip(b" \x00").split(b"\\")
        fine = all(_NUMBER.fullmatch(p) and _anonymous(p, walk.numbers) for p in parts)
        return _text(tag, vr, value.strip(b" \x00")) if fine else None
    size = _SIZES[vr]
    if len(value) % size or _PRINTABLE.fullmatch(value):
        return None
    if not walk.little:
        value = b"".join(value[i : i + size][::-1] for i in range(0, len(value), size))
    return _raw(tag, vr, value)


def _coded(source: Dataset, kept: dict[BaseTag, DataElement | RawDataElement], walk: _Walk) -> None:
    """Write a code back when the standard's own dictionary knows it, with the dictionary's meaning."""
    if BaseTag(0x00080100) not in source or BaseTag(0x00080102) not in source:
        return
    value, scheme = (_plain(source, t) for t in (0x00080100, 0x00080102))
    meaning = meaning_of(scheme, value)
    if meaning is None:
        walk.counts["removed"] += 1
        return
    for tag, vr, text in zip((0x00080100, 0x00080102, 0x00080104), ("SH", "SH", "LO"), (value, scheme, meaning), strict=True):
        kept[BaseTag(tag)] = _text(BaseTag(tag), vr, text.encode("ascii"))
    walk.counts["kept"] += 1


def _plain(source: Dataset, tag: int) -> str:
    value = getattr(source.get_item(BaseTag(tag)), "value", "")
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value or "")).strip(" \x00")


def _declare(kept: dict[BaseTag, DataElement | RawDataElement], walk: _Walk) -> None:
    texts = (
        (0x00120062, "CS", b"YES"),
        (0x00120063, "LO", f"{ENGINE}\\{_METHOD}".encode()),
        (0x00280303, "CS", b"MODIFIED"),
    )
    kept |= {BaseTag(tag): _text(BaseTag(tag), vr, value) for tag, vr, value in texts}
    codes = [*_CODES, _SAFE_PRIVATE] if walk.private_kept else list(_CODES)
    items = [_code_item(value, meaning) for value, meaning in codes]
    kept[BaseTag(0x00120064)] = DataElement(0x00120064, "SQ", Sequence(items))


def _code_item(value: str, meaning: str) -> Dataset:
    fields = ((0x00080100, "SH", value), (0x00080102, "SH", "DCM"), (0x00080104, "LO", meaning))
    item = Dataset({BaseTag(t): _text(BaseTag(t), vr, text.encode()) for t, vr, text in fields})
    item.set_original_encoding(False, True, "iso8859")
    return item


def _written(out: Dataset, pixels: CleanPixels) -> bytes:
    meta = FileMetaDataset()
    meta.add_new(0x00020010, "UI", pixels.transfer_syntax)
    out.file_meta = meta
    uids = [bytes(out.get_item(tag).value).decode("ascii").strip("\x00") for tag in (0x00080016, 0x00080018)]
    try:
        return part10(out, sop_class=uids[0], sop_instance=uids[1], transfer_syntax=pixels.transfer_syntax)
    except TooLong:
        raise Refused(Reason.UNREADABLE) from None
