"""One DICOM object in, one de-identified Part 10 file out: the walk over every element at every depth.

Belongs here: carrying out the policy's actions, fresh file meta and preamble, coded entries, method codes.
Does not belong here: which action an attribute gets (policy), whether the object may leave (quarantine).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom import config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filereader import read_partial
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from spine_models.corpus.deid.codes import meaning_of
from spine_models.corpus.deid.encode import TooLong, part10
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
    Walk,
    blank,
    number_element,
    raw_element,
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
    """A released object: its file, the dataset that was written, and what was done to it."""

    payload: bytes
    dataset: Dataset
    pixel_sha256: str
    counts: Counter[str]
    known: KnownIdentifiers


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
        out = _dataset(source, walk, 0, pixels)
        walk.counts["cleaned"] += pixels.cleaned
        payload = _written(out, pixels)
        return Cleaned(payload, out, pixels.sha256, walk.counts, KnownIdentifiers.of(walk.found))


def _probe(source: Dataset) -> Dataset:
    """A shallow copy to ask questions of: asking decodes elements, and the walk wants their bytes."""
    probe = Dataset(dict(source.items()))  # type: ignore[arg-type]
    probe.set_original_encoding(*source.original_encoding, source.original_character_set)
    meta = getattr(source, "file_meta", None)
    if meta is not None:
        probe.file_meta = meta
    return probe


def _prepare(source: Dataset, names: Pseudonymizer, patient: Patient) -> Walk:
    own = KnownIdentifiers.of(_identifiers(source))
    known = patient.known | own
    return Walk(
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


def _dataset(source: Dataset, walk: Walk, depth: int, pixels: CleanPixels | None = None) -> Dataset:
    if depth > _MAX_DEPTH:
        raise Refused(Reason.UNREADABLE)
    kept: dict[BaseTag, DataElement | RawDataElement] = {}
    private: list[BaseTag] = []
    # Taken before any sequence is opened: opening one makes the reader decode elements around it.
    raw = dict(source.items())
    if depth and not raw.keys().isdisjoint(WATCHED):
        check_nested(Dataset({tag: raw[tag] for tag in raw if tag in WATCHED}))
    for number, tag in sorted((int(tag), tag) for tag in raw):
        if (number >> 16) & 1:
            private.append(tag)
            continue
        action = action_for(number, walk.enhanced)
        if action is Action.PIXELS:
            if pixels is not None:
                kept[tag] = raw_element(
                    tag, pixels.vr, pixels.value, undefined=pixels.transfer_syntax not in _PLAIN
                )
                walk.counts["kept"] += 1
            continue
        element = _element(source, raw[tag], tag, action, walk, depth)
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
    out = Dataset(kept)
    out.set_original_encoding(False, True, "iso8859")
    return out


_IMAGE: Final = frozenset(
    BaseTag(0x00280000 + n) for n in (0x02, 0x04, 0x10, 0x11, 0x100, 0x101, 0x102, 0x103)
)
"""Attributes without which nobody can read the pixels; an object that lacks one is not released."""
_CODE_VALUE: Final = BaseTag(0x00080100)
_CODE_SCHEME: Final = BaseTag(0x00080102)
_PLAIN: Final = frozenset({"1.2.840.10008.1.2.1"})


def _element(
    source: Dataset, raw: DataElement | RawDataElement, tag: BaseTag, action: Action, walk: Walk, depth: int
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
        return text_element(tag, vr, walk.patient.key.encode())
    if action is Action.EMPTY or action is Action.DUMMY:
        return blank(tag, vr, action, walk)
    if action is Action.SEQUENCE:
        return _sequence(source, tag, number, walk, depth)
    value = value_bytes(raw, vr, walk)
    if value is None:
        return blank(tag, vr, Action.REMOVE, walk)
    if action is Action.KEEP:
        return number_element(tag, vr, value, walk)
    new = transformed(number, vr, action, value, walk)
    if new is None or (not new and value.strip(b" \x00")):
        return blank(tag, vr, fallback(number, walk.enhanced), walk)
    return text_element(tag, vr, new)


def _sequence(source: Dataset, tag: BaseTag, number: int, walk: Walk, depth: int) -> DataElement | None:
    element = source.get_item(tag)
    if isinstance(element, RawDataElement) and element.VR == "UN":
        return blank(tag, "SQ", fallback(number, walk.enhanced), walk)  # type: ignore[return-value]
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
        return blank(tag, "SQ", fallback(number, walk.enhanced), walk)  # type: ignore[return-value]
    return DataElement(tag, "SQ", Sequence(cleaned if filled else []))


def _coded(
    raw: Mapping[BaseTag, DataElement | RawDataElement],
    kept: dict[BaseTag, DataElement | RawDataElement],
    walk: Walk,
) -> None:
    """Write a code back when the standard's own dictionary knows it, with the dictionary's meaning."""
    value, scheme = (_plain(raw[tag]) for tag in (_CODE_VALUE, _CODE_SCHEME))
    meaning = meaning_of(scheme, value)
    if meaning is None or value in walk.numbers:
        walk.counts["removed"] += 1
        return
    for tag, vr, text in zip(
        (0x00080100, 0x00080102, 0x00080104), ("SH", "SH", "LO"), (value, scheme, meaning), strict=True
    ):
        kept[BaseTag(tag)] = text_element(BaseTag(tag), vr, text.encode("ascii"))
    walk.counts["kept"] += 1


def _plain(element: DataElement | RawDataElement) -> str:
    value = element.value
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value or "")).strip(" \x00")


def _declare(kept: dict[BaseTag, DataElement | RawDataElement], walk: Walk) -> None:
    texts = (
        (0x00120062, "CS", b"YES"),
        (0x00120063, "LO", f"{ENGINE}\\{_METHOD}".encode()),
        (0x00280303, "CS", b"MODIFIED"),
    )
    kept |= {BaseTag(tag): text_element(BaseTag(tag), vr, value) for tag, vr, value in texts}
    codes = [*_CODES, _SAFE_PRIVATE] if walk.private_kept else list(_CODES)
    items = [_code_item(value, meaning) for value, meaning in codes]
    kept[BaseTag(0x00120064)] = DataElement(0x00120064, "SQ", Sequence(items))


def _code_item(value: str, meaning: str) -> Dataset:
    fields = ((0x00080100, "SH", value), (0x00080102, "SH", "DCM"), (0x00080104, "LO", meaning))
    item = Dataset({BaseTag(t): text_element(BaseTag(t), vr, text.encode()) for t, vr, text in fields})
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
