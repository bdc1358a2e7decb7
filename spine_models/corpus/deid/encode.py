"""Bytes of a cleaned object: fresh preamble and file meta, explicit little endian, nothing else.

Belongs here: writing elements that the engine has already brought to their final bytes.
Does not belong here: any decision. (A general writer re-examines each element, which costs half of the time.)
Source: DICOM PS3.5 section 7, PS3.10 section 7.1.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

_LONG: Final = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
_IMPLEMENTATION: Final = "2.25.302718262412396173208540913962518712402"
_SHORT_HEADER: Final = struct.Struct("<HH2sH")
_LONG_HEADER: Final = struct.Struct("<HH2sHI")
_ITEM: Final = b"\xfe\xff\x00\xe0"
_UNDEFINED: Final = 0xFFFFFFFF


class TooLong(ValueError):
    """A value that its VR cannot hold; the message names the tag alone."""


class Bytes(NamedTuple):
    """An element whose bytes are final; ``undefined`` for encapsulated pixel data."""

    VR: str
    value: bytes
    undefined: bool = False


class Items(NamedTuple):
    """A sequence of finished items."""

    items: list[dict[int, Bytes | Items]]


Finished = dict[int, Bytes | Items]


def part10(elements: Finished, *, sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """A whole Part 10 file of finished elements."""
    return b"".join([_meta(sop_class, sop_instance, transfer_syntax), *_elements(elements)])


def _meta(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    body = b"".join(
        [
            _header(0x00020001, "OB", 2) + b"\x00\x01",
            _value(0x00020002, "UI", sop_class),
            _value(0x00020003, "UI", sop_instance),
            _value(0x00020010, "UI", transfer_syntax),
            _value(0x00020012, "UI", _IMPLEMENTATION),
            _value(0x00020013, "SH", "SPINEAGENT_1"),
        ]
    )
    length = _header(0x00020000, "UL", 4) + struct.pack("<I", len(body))
    return b"\x00" * 128 + b"DICM" + length + body


def _value(tag: int, vr: str, text: str) -> bytes:
    raw = text.encode("ascii")
    raw += (b"\x00" if vr == "UI" else b" ") * (len(raw) % 2)
    return _header(tag, vr, len(raw)) + raw


@lru_cache(maxsize=16384)
def _header(tag: int, vr: str, length: int) -> bytes:
    if vr in _LONG:
        return _LONG_HEADER.pack(tag >> 16, tag & 0xFFFF, vr.encode("ascii"), 0, length)
    if length > 0xFFFF:
        raise TooLong(f"element {tag:08x} is too long for its VR")
    return _SHORT_HEADER.pack(tag >> 16, tag & 0xFFFF, vr.encode("ascii"), length)


def _elements(elements: Finished) -> list[bytes]:
    out: list[bytes] = []
    for number in sorted(elements):
        element = elements[number]
        if isinstance(element, Bytes):
            vr, value, undefined = element
            out += (_header(number, vr, _UNDEFINED if undefined else len(value)), value)
            if undefined:
                out.append(b"\xfe\xff\xdd\xe0\x00\x00\x00\x00")
            continue
        items: list[bytes] = []
        for item in element.items:
            body = b"".join(_elements(item))
            items += (_ITEM, struct.pack("<I", len(body)), body)
        body = b"".join(items)
        out += (_header(number, "SQ", len(body)), body)
    return out
