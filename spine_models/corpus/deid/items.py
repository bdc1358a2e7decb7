"""Items of a sequence from their bytes, undecoded: tags, VRs and values, nothing looked into that is not asked for.

Belongs here: a fast reader of little-endian items of defined length, and the general one for all others.
Does not belong here: what becomes of an element (engine), writing (encode).
Source: DICOM PS3.5 section 7.5. A general reader makes an object of every element, which costs ten times as much.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xE000FFFE
_SHORT: Final = struct.Struct("<HH2sH").unpack_from
_PAIR: Final = struct.Struct("<II").unpack_from
_IMPLICIT: Final = struct.Struct("<HHI").unpack_from
_LENGTH: Final = struct.Struct("<I").unpack_from
_LONG_VRS: Final = {
    v.encode(): v for v in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
}
_SHORT_VRS: Final = {
    v.encode(): v
    for v in (
        "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM",
        "UI", "UL", "US",
    )
}  # fmt: skip


class Raw(NamedTuple):
    """An element as its bytes say; VR is None where the transfer syntax does not tell."""

    VR: str | None
    value: bytes


Element = Raw | RawDataElement | DataElement
Elements = Mapping[int, Element]


class Encoding(NamedTuple):
    """How a data set is written, and the character set of its text."""

    implicit: bool
    little: bool
    charset: object


class _NotPlain(ValueError):
    """Undefined lengths, big endian, a VR of another age, or lengths that do not add up."""


def elements_of(dataset: Dataset) -> dict[int, Element]:
    """The elements of a data set as they were read, nothing decoded."""
    return {int(tag): element for tag, element in dataset.items()}


def items_of(tag: int, element: Element, encoding: Encoding) -> list[dict[int, Element]]:
    """The items of a sequence element.

    Raises:
        Exception: whatever the general reader raises on bytes that are no sequence.
    """
    if not isinstance(element, DataElement) and element.VR in ("SQ", None) and element.value is not None:
        try:
            if encoding.little:
                return _parsed(bytes(element.value), encoding.implicit)
        except (_NotPlain, struct.error):
            pass
    value = decoded(tag, element, encoding)
    return [elements_of(item) for item in value or [] if isinstance(item, Dataset)]  # type: ignore[attr-defined]


def decoded(tag: int, element: Element, encoding: Encoding) -> object:
    """The value of one element as the general reader gives it.

    Raises:
        Exception: the bytes are not of the VR.
    """
    if isinstance(element, DataElement):
        return element.value
    if isinstance(element, Raw):
        element = RawDataElement(
            BaseTag(tag), element.VR, len(element.value), element.value, 0, encoding.implicit, encoding.little
        )
    dataset = Dataset({BaseTag(tag): element})
    dataset.set_original_encoding(encoding.implicit, encoding.little, encoding.charset)  # type: ignore[arg-type]
    return dataset[BaseTag(tag)].value


def _parsed(data: bytes, implicit: bool) -> list[dict[int, Element]]:
    items: list[dict[int, Element]] = []
    at, end = 0, len(data)
    read = _implicit if implicit else _explicit
    while at < end:
        tag, size = _PAIR(data, at)
        at += 8
        if tag != _ITEM or at + size > end:  # an undefined length is larger than anything
            raise _NotPlain
        items.append(read(data, at, at + size))
        at += size
    return items


def _explicit(data: bytes, at: int, end: int) -> dict[int, Element]:
    out: dict[int, Element] = {}
    while at < end:
        group, element, code, size = _SHORT(data, at)
        vr = _SHORT_VRS.get(code)
        if vr is not None:
            at += 8
        else:
            vr = _LONG_VRS.get(code)
            if vr is None:
                raise _NotPlain
            size = _LENGTH(data, at + 8)[0]
            at += 12
        stop = at + size
        if stop > end:
            raise _NotPlain
        out[group << 16 | element] = Raw(vr, data[at:stop])
        at = stop
    return out


def _implicit(data: bytes, at: int, end: int) -> dict[int, Element]:
    out: dict[int, Element] = {}
    while at < end:
        group, element, size = _IMPLICIT(data, at)
        at += 8
        stop = at + size
        if stop > end:
            raise _NotPlain
        out[group << 16 | element] = Raw(None, data[at:stop])
        at = stop
    return out
