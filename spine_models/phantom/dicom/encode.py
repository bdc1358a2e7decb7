"""Bytes of a Part 10 file from a data set, in any of the native encodings.

Belongs here: PS3.5 section 7 and PS3.10 section 7.1 for data sets that are made here. Does not belong here: pixels
(``syntaxes``), any decision on values. A general writer looks at every element of every image anew, which would take
half of the time that a phantom hospital takes; nearly all elements of a series are alike, so their bytes are kept.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from pydicom.charset import convert_encodings, encode_string
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pydicom.valuerep import PersonName

_LONG: Final = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
_NUMBERS: Final = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_LOCAL_CHARSET: Final = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
_UNDEFINED: Final = 0xFFFFFFFF


def part10(ds: FileDataset, *, undefined_lengths: bool = False) -> bytes:
    """The whole file: preamble, file meta information and data set in the transfer syntax that the meta names.

    Args:
        ds: complete; pixel data already in the encoding of its transfer syntax.
        undefined_lengths: sequences end with a delimiter, as many scanners write them, not after a stated length.

    Raises:
        ValueError: a value that its VR cannot hold; the message names the tag alone.
    """
    syntax = UID(ds.file_meta.TransferSyntaxUID)
    body = _Writer(syntax.is_implicit_VR, syntax.is_little_endian, undefined_lengths).data_set(ds)
    if syntax == DeflatedExplicitVRLittleEndian:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = deflater.compress(body) + deflater.flush()
        body += b"\0" * (len(body) % 2)
    return b"".join((ds.preamble or b"\0" * 128, b"DICM", _meta(ds.file_meta), body))


def _meta(meta: Dataset) -> bytes:
    writer = _Writer(False, True, False)
    rest = Dataset({tag: meta[tag] for tag in meta.keys() if tag.element > 1})  # noqa: SIM118
    body = writer.element(DataElement(0x00020001, "OB", b"\0\1"), ("iso8859",)) + writer.data_set(rest)
    return writer.element(DataElement(0x00020000, "UL", len(body)), ("iso8859",)) + body


class _Writer:
    """Elements in one encoding."""

    def __init__(self, implicit: bool, little: bool, undefined: bool) -> None:
        self._implicit, self._little, self._undefined = implicit, little, undefined
        self._order = "<" if little else ">"

    def data_set(self, ds: Dataset, parent: tuple[str, ...] = ("iso8859",)) -> bytes:
        charset = ds.get_item(0x00080005)
        encodings = _encodings(_plain(charset.value)) if charset is not None else parent
        # The order of tags as plain integers; comparing tags as objects takes longer than writing them.
        return b"".join(self.element(ds[tag], encodings) for tag in sorted(ds.keys(), key=int))

    def element(self, element: DataElement, encodings: tuple[str, ...]) -> bytes:
        tag, vr, value = int(element.tag), str(element.VR), element.value
        if vr == "SQ":
            return self._sequence(tag, value or (), encodings)
        if isinstance(value, bytes):
            return self._bytes(tag, vr, value, bool(element.is_undefined_length))
        if vr == "PN":
            return self._head(tag, vr, _person(value, encodings))
        plain = _plain(value)
        return _kept(tag, vr, plain, type(plain), encodings, self._implicit, self._little)

    def _sequence(self, tag: int, items: Iterable[Dataset], encodings: tuple[str, ...]) -> bytes:
        parts = []
        for item in items:
            body = self.data_set(item, encodings)
            length = _UNDEFINED if self._undefined else len(body)
            parts.append(self._tag(0xFFFEE000) + struct.pack(f"{self._order}L", length) + body)
            if self._undefined:
                parts.append(self._tag(0xFFFEE00D) + bytes(4))
        body = b"".join(parts)
        if not self._undefined:
            return self._head(tag, "SQ", body)
        end = self._tag(0xFFFEE0DD) + bytes(4)
        return _header(tag, "SQ", _UNDEFINED, self._implicit, self._little) + body + end

    def _bytes(self, tag: int, vr: str, value: bytes, undefined: bool) -> bytes:
        if undefined:
            end = self._tag(0xFFFEE0DD) + bytes(4)
            return _header(tag, vr, _UNDEFINED, self._implicit, self._little) + value + end
        return self._head(tag, vr, value)

    def _head(self, tag: int, vr: str, value: bytes) -> bytes:
        return _with_header(tag, vr, value, self._implicit, self._little)

    def _tag(self, tag: int) -> bytes:
        return struct.pack(f"{self._order}HH", tag >> 16, tag & 0xFFFF)


@lru_cache(maxsize=65536)
def _kept(
    tag: int, vr: str, value: Any, kind: type, encodings: tuple[str, ...], implicit: bool, little: bool
) -> bytes:
    """Bytes of an element whose value is a text, a number or a tuple of them."""
    parts = value if isinstance(value, tuple) else (value,)
    order = "<" if little else ">"
    if value is None or value == "":
        raw = b""
    elif vr in _NUMBERS:
        raw = struct.pack(f"{order}{len(parts)}{_NUMBERS[vr]}", *parts)
    elif vr == "AT":
        raw = b"".join(struct.pack(f"{order}HH", int(p) >> 16, int(p) & 0xFFFF) for p in parts)
    else:
        parts = tuple("" if part is None else str(part) for part in parts)
        text = "\\".join(parts)
        if text.isascii():
            raw = text.encode("ascii")
        else:
            using = list(encodings) if vr in _LOCAL_CHARSET else ["iso8859"]
            raw = b"\\".join(encode_string(part, using) for part in parts)
        raw += (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
    return _with_header(tag, vr, raw, implicit, little)


def _with_header(tag: int, vr: str, value: bytes, implicit: bool, little: bool) -> bytes:
    if len(value) % 2:
        value += b" " if vr == "PN" else b"\0"
    return _header(tag, vr, len(value), implicit, little) + value


@lru_cache(maxsize=65536)
def _header(tag: int, vr: str, length: int, implicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    if implicit:
        return struct.pack(f"{order}HHL", tag >> 16, tag & 0xFFFF, length)
    if vr in _LONG:
        return struct.pack(f"{order}HH2sHL", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)
    if length > 0xFFFF or len(vr) != 2:
        raise ValueError(f"element {tag:08x} is too long for its VR, or its VR is not decided")
    return struct.pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)


@lru_cache(maxsize=64)
def _encodings(charset: Any) -> tuple[str, ...]:
    names = list(charset) if isinstance(charset, tuple) else charset
    return tuple(convert_encodings(names or "iso8859"))


def _person(value: Any, encodings: tuple[str, ...]) -> bytes:
    people: Sequence[Any] = value if isinstance(value, list | MultiValue) else [value]
    made = (p if isinstance(p, PersonName) else PersonName(p or "") for p in people)
    return b"\\".join(p.encode(list(encodings)) for p in made)


def _plain(value: Any) -> Any:
    """Text and numbers as built-in types, several of them as a tuple; what decimal texts were made from."""
    if isinstance(value, list | tuple | MultiValue):
        return tuple(_plain(v) for v in value)
    original = getattr(value, "original_string", None)
    if original is not None:
        return str(original)
    if isinstance(value, str):
        return str(value)
    return value
