"""A released DICOM file taken apart by its bytes alone: preamble, elements, and whether anything is left over.

Belongs here: an own, strict reader of explicit little endian with nested sequences.
Does not belong here: judgement of what is found (released), tolerance for odd files (there are none to release).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF


class NotStrict(ValueError):
    """The bytes are not exactly one Part 10 file in explicit little endian."""


@dataclass(frozen=True)
class Part:
    """One element: tag, VR, its value's bytes, and the depth of nesting."""

    tag: int
    vr: str
    value: bytes
    depth: int
    creator: str = ""


def parts_of(data: bytes) -> list[Part]:
    """Every element of the file meta and dataset, nested ones after their sequence.

    Raises:
        NotStrict: no zero preamble, bytes that no element accounts for, or a length that does not fit.
    """
    if data[:132] != b"\x00" * 128 + b"DICM":
        raise NotStrict("the preamble is not empty")
    found: list[Part] = []
    try:
        end = _elements(data, 132, len(data), 0, found)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise NotStrict("an element is cut short") from None
    if end != len(data):
        raise NotStrict("bytes follow the last element")
    return found


def _elements(data: bytes, at: int, end: int, depth: int, found: list[Part]) -> int:
    creators: dict[tuple[int, int], str] = {}
    if depth > 32:
        raise NotStrict("nesting too deep")
    while at < end:
        group, element = struct.unpack_from("<HH", data, at)
        tag = group << 16 | element
        if tag in (_ITEM_END, _SEQUENCE_END):
            return at
        vr = data[at + 4 : at + 6]
        if vr in _LONG:
            length, start = struct.unpack_from("<I", data, at + 8)[0], at + 12
        else:
            length, start = struct.unpack_from("<H", data, at + 6)[0], at + 8
        creator = creators.get((group, element >> 8), "")
        if vr == b"SQ":
            found.append(Part(tag, "SQ", b"", depth, creator))
            at = _items(data, start, length, end, depth, found)
            continue
        if length == _UNDEFINED:
            stop = _fragments_end(data, start, end)
            found.append(Part(tag, vr.decode("ascii"), data[start:stop], depth, creator))
            at = stop
            continue
        if start + length > end:
            raise NotStrict("an element runs past its end")
        value = data[start : start + length]
        if group % 2 and 0x10 <= element <= 0xFF:
            creators[group, element] = value.decode("latin-1").strip(" \x00")
        found.append(Part(tag, vr.decode("ascii"), value, depth, creator))
        at = start + length
    return at


def _items(data: bytes, at: int, length: int, end: int, depth: int, found: list[Part]) -> int:
    stop = end if length == _UNDEFINED else at + length
    if stop > end:
        raise NotStrict("a sequence runs past its end")
    while at < stop:
        group, element, size = struct.unpack_from("<HHI", data, at)
        tag = group << 16 | element
        at += 8
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM:
            raise NotStrict("a sequence holds something that is no item")
        if size == _UNDEFINED:
            at = _elements(data, at, stop, depth + 1, found) + 8
        else:
            if _elements(data, at, at + size, depth + 1, found) != at + size:
                raise NotStrict("an item holds bytes beyond its elements")
            at += size
    return at


def _fragments_end(data: bytes, at: int, end: int) -> int:
    while at < end:
        group, element, size = struct.unpack_from("<HHI", data, at)
        at += 8
        if group << 16 | element == _SEQUENCE_END:
            return at
        at += size
    raise NotStrict("encapsulated pixel data has no end")


def fragments(value: bytes) -> Iterator[bytes]:
    """Fragments of encapsulated pixel data, without the offset table."""
    at, first = 0, True
    while at + 8 <= len(value):
        group, element, size = struct.unpack_from("<HHI", value, at)
        at += 8
        if group << 16 | element != _ITEM:
            return
        if not first:
            yield value[at : at + size]
        first = False
        at += size
