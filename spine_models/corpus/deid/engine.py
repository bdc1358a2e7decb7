"""One DICOM object in, one de-identified Part 10 file out: the walk over every element at every depth.

Belongs here: carrying out the policy's actions, fresh file meta and preamble, coded entries, method codes.
Does not belong here: which action an attribute gets (policy), whether the object may leave (quarantine).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import BytesIO
from typing import Final, NamedTuple

from pydicom import config, dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_partial

from spine_models.corpus.deid.codes import meaning_of
from spine_models.corpus.deid.encode import Bytes, Finished, Items, TooLong, part10
from spine_models.corpus.deid.items import Element, Elements, Encoding, Raw, decoded, elements_of, items_of
from spine_models.corpus.deid.known import KIND_OF_TAG, KnownIdentifiers
from spine_models.corpus.deid.numerals import known_bytes
from spine_models.corpus.deid.pixels import CleanPixels, clean_pixels
from spine_models.corpus.deid.policy import Action, action_for, fallback, standard_vr
from spine_models.corpus.deid.private import private_elements
from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from spine_models.corpus.deid.quarantine import (
    ENHANCED_MR,
    WATCHED,
    Reason,
    Refused,
    check_header,
    check_nested,
)
from spine_models.corpus.deid.values import (
    Patient,
    Repeated,
    Walk,
    blank,
    number_element,
    text_element,
    transformed,
    value_bytes,
)

ENGINE: Final = "spineagent-deid/2"
_MAX_DEPTH: Final = 24
_METHOD: Final = "PS3.15 Basic Profile with clean descriptors"
_CODES: Final = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
_SAFE_PRIVATE: Final = ("113111", "Retain Safe Private Option")


@dataclass
class Cleaned:
    """A released object: its file, and what was done to it."""

    payload: bytes
    pixels: CleanPixels
    counts: Counter[str]
    known: KnownIdentifiers

    @property
    def pixel_sha256(self) -> str:
        """Hash of what is image in the released pixel data."""
        return self.pixels.sha256

    @cached_property
    def dataset(self) -> Dataset:
        """What was written, read again without its pixels."""
        return dcmread(BytesIO(self.payload), stop_before_pixels=True)


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
        walk = _prepare(probe, names, patient)
        pixels = clean_pixels(probe, known_bytes(walk.veto, walk.numbers))
        out = _cleaned(elements_of(source), walk, 0, pixels)
        walk.counts["cleaned"] += pixels.cleaned
        return Cleaned(_written(out, pixels), pixels, walk.counts, KnownIdentifiers.of(walk.found))


def _probe(source: Dataset) -> Dataset:
    """A shallow copy to ask questions of: asking decodes elements, and the walk wants their bytes."""
    probe = Dataset(dict(source.items()))  # type: ignore[arg-type]
    probe.set_original_encoding(*source.original_encoding, source.original_character_set)
    meta = getattr(source, "file_meta", None)
    if meta is not None:
        probe.file_meta = meta
    return probe


def _prepare(source: Dataset, names: Pseudonymizer, patient: Patient) -> Walk:
    encoding = Encoding(*source.original_encoding, source.original_character_set)  # type: ignore[arg-type]
    own = KnownIdentifiers.of(_identifiers(elements_of(source), encoding))
    known = patient.known | own
    return Walk(
        names=names,
        patient=patient,
        encoding=encoding,
        enhanced=str(source.SOPClassUID) == ENHANCED_MR,
        little=str(source.file_meta.TransferSyntaxUID) != "1.2.840.10008.1.2.2",
        signed=int(source.get("PixelRepresentation") or 0) == 1,
        veto=known.name_words(),
        numbers=known.numbers(),
        found=list(own.values),
    )


def _identifiers(source: Elements, encoding: Encoding) -> Iterator[tuple[str, str]]:
    for tag, element in source.items():
        kind = plan(tag).kind
        if kind:
            yield from _spoken(tag, element, kind, encoding)


def _spoken(tag: int, element: Element, kind: str, encoding: Encoding) -> Iterator[tuple[str, str]]:
    try:
        value = decoded(tag, element, encoding)
    except Exception:
        # Undecodable text cannot be quoted by a report either; the attribute itself is removed regardless.
        return
    for one in value if isinstance(value, list | tuple) or hasattr(value, "append") else [value]:  # type: ignore[union-attr]
        if one not in (None, ""):
            yield kind, str(one)


class Plan(NamedTuple):
    """What is done to an attribute, decided once."""

    action: Action
    vr: str
    kind: str | None
    """Kind of identifier that the attribute holds."""


@lru_cache(maxsize=16384)
def plan(tag: int, enhanced: bool = False) -> Plan:
    """The compiled plan of one attribute."""
    vr = standard_vr(tag) or "UN"
    return Plan(action_for(tag, enhanced), vr, KIND_OF_TAG.get(tag) or ("name" if vr == "PN" else None))


def _cleaned(raw: Elements, walk: Walk, depth: int, pixels: CleanPixels | None = None) -> Finished:
    if depth > _MAX_DEPTH:
        raise Refused(Reason.UNREADABLE)
    kept: Finished = {}
    private: list[int] = []
    for tag in sorted(raw):
        if tag & 0x10000:
            private.append(tag)
            continue
        if depth and tag in WATCHED:
            check_nested(tag, raw[tag].value)
        told = plan(tag, walk.enhanced)
        if told.action is Action.PIXELS:
            if pixels is not None:
                undefined = pixels.transfer_syntax not in _PLAIN
                kept[tag] = Bytes(pixels.vr, pixels.value, undefined)
                walk.counts["kept"] += 1
            continue
        if depth and told.kind:
            walk.found.extend(_spoken(tag, raw[tag], told.kind, walk.encoding))
        element = _element(raw[tag], tag, told, walk, depth)
        if element is not None:
            kept[tag] = element
    if private:
        private_elements(raw, private, kept, walk)
    if _CODE_VALUE in raw and _CODE_SCHEME in raw:
        _coded(raw, kept, walk)
    if not depth:
        _declare(kept, walk)
        if not kept.keys() >= _IMAGE:
            raise Refused(Reason.UNREADABLE)
    return kept


_IMAGE: Final = frozenset(0x00280000 + n for n in (0x02, 0x04, 0x10, 0x11, 0x100, 0x101, 0x102, 0x103))
"""Attributes without which nobody can read the pixels; an object that lacks one is not released."""
_CODE_VALUE: Final = 0x00080100
_CODE_SCHEME: Final = 0x00080102
_PLAIN: Final = frozenset({"1.2.840.10008.1.2.1"})


def _element(raw: Element, tag: int, told: Plan, walk: Walk, depth: int) -> Bytes | Items | None:
    action, vr = told.action, told.vr
    if action is Action.REMOVE:
        walk.counts["removed"] += 1
        return None
    if action is Action.ENGINE:
        return None
    if action is Action.PATIENT:
        walk.counts["replaced"] += 1
        return text_element(vr, walk.patient.key.encode())
    if action is Action.EMPTY or action is Action.DUMMY:
        return blank(vr, action, walk)
    if action is Action.SEQUENCE:
        return _sequence(raw, tag, walk, depth)
    value = value_bytes(raw, vr, walk)
    if value is None:
        return blank(vr, Action.REMOVE, walk)
    if action is Action.KEEP:
        return number_element(tag, vr, value, walk)
    new = transformed(tag, vr, action, value, walk)
    if new is None or (not new and value.strip(b" \x00")):
        return blank(vr, fallback(tag, walk.enhanced), walk)
    return text_element(vr, new)


def _sequence(raw: Element, tag: int, walk: Walk, depth: int) -> Bytes | Items | None:
    if not isinstance(raw, DataElement) and raw.VR == "UN":
        return blank("SQ", fallback(tag, walk.enhanced), walk)
    key = (tag, raw.value) if depth and isinstance(raw, Raw) and len(raw.value) <= _REPEATED else None
    if key in walk.repeated:
        element, counts = walk.repeated[key]  # type: ignore[index]
        walk.counts.update(counts)
        return element
    before = Counter(walk.counts) if key else walk.counts
    element = _items(raw, tag, walk, depth)
    if key:
        walk.repeated[key] = Repeated(
            element, {k: n - before[k] for k, n in walk.counts.items() if n != before[k]}
        )
    return element


_REPEATED: Final = 2048
"""Bytes up to which a sequence is remembered, so that memory stays a small multiple of a header's."""


def _items(raw: Element, tag: int, walk: Walk, depth: int) -> Bytes | Items | None:
    try:
        items = items_of(tag, raw, walk.encoding)
    except Exception:
        # A sequence that cannot be parsed cannot be cleaned: it goes as its attribute's fallback says.
        return blank("SQ", fallback(tag, walk.enhanced), walk) if raw.value else Items([])
    cleaned = [_cleaned(item, walk, depth + 1) for item in items]
    if not any(cleaned):
        return blank("SQ", fallback(tag, walk.enhanced), walk) if items or raw.value else Items([])
    return Items(cleaned)


def _coded(raw: Elements, kept: Finished, walk: Walk) -> None:
    """Write a code back when the standard's own dictionary knows it, with the dictionary's meaning."""
    value, scheme = (_plain(raw[tag]) for tag in (_CODE_VALUE, _CODE_SCHEME))
    meaning = meaning_of(scheme, value)
    if meaning is None or value in walk.numbers:
        walk.counts["removed"] += 1
        return
    for tag, vr, text in zip(
        (0x00080100, 0x00080102, 0x00080104), ("SH", "SH", "LO"), (value, scheme, meaning), strict=True
    ):
        kept[tag] = text_element(vr, text.encode("ascii"))
    walk.counts["kept"] += 1


def _plain(element: Element) -> str:
    value = element.value
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value or "")).strip(" \x00")


def _declare(kept: Finished, walk: Walk) -> None:
    kept[0x00120062] = text_element("CS", b"YES")
    kept[0x00120063] = text_element("LO", f"{ENGINE}\\{_METHOD}".encode())
    kept[0x00280303] = text_element("CS", b"MODIFIED")
    codes = [*_CODES, _SAFE_PRIVATE] if walk.private_kept else list(_CODES)
    kept[0x00120064] = Items([_code_item(value, meaning) for value, meaning in codes])


def _code_item(value: str, meaning: str) -> Finished:
    fields = ((0x00080100, "SH", value), (0x00080102, "SH", "DCM"), (0x00080104, "LO", meaning))
    return {tag: text_element(vr, text.encode()) for tag, vr, text in fields}


def _written(out: Finished, pixels: CleanPixels) -> bytes:
    uids = [out[tag].value.decode("ascii").strip("\x00") for tag in (0x00080016, 0x00080018)]  # type: ignore[union-attr]
    try:
        return part10(out, sop_class=uids[0], sop_instance=uids[1], transfer_syntax=pixels.transfer_syntax)
    except TooLong:
        raise Refused(Reason.UNREADABLE) from None
