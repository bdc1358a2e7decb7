"""A header as it lies in its bytes: only the elements that are asked for become values.

Belongs here: values of single elements, equal to those that pydicom gives, at a fraction of its cost; items of a long
sequence one at a time. Does not belong here: finding the elements (``archive.structure``), what they mean (``header``).
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO, Final, NamedTuple

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.filereader import read_dataset
from pydicom.tag import Tag

MAX_VALUE_BYTES: Final = 64 * 1024
"""A longer text or list of numbers is no fact of an acquisition, and reads as absent."""

MAX_PARSED_BYTES: Final = 2 * 1024**2
MAX_PARSED_ITEMS: Final = 10_000
"""A longer sequence, or one of more items, reads as absent: parsing takes a hundred times its bytes in memory."""

_CHARSET: Final = 0x00080005
_UNDEFINED: Final = 0xFFFFFFFF
_TEXT: Final = frozenset(b"AE AS CS DA DT LO PN SH TM UC UI".split())
_PROSE: Final = frozenset(b"LT ST UR UT".split())  # one value, whatever backslashes it holds
_BINARY: Final = {
    b"US": "H",
    b"SS": "h",
    b"UL": "L",
    b"SL": "l",
    b"FL": "f",
    b"FD": "d",
    b"UV": "Q",
    b"SV": "q",
}


class Item(NamedTuple):
    """One item of a sequence: bytes ``[begin, end)`` of its data set, and its encoding."""

    begin: int
    end: int
    implicit: bool


Element = tuple[bytes | None, int, int, int, int, list[Item] | None]
"""A top-level element: value representation, its head's offset, its value's begin and end, the length that it states,
and its items where they were located."""


@dataclass(frozen=True)
class RawHeader:
    """Elements of one data set over their bytes; stands for a pydicom ``Dataset`` in ``header`` and ``geometry``.

    Args:
        stream: seekable; the data set lies in it.
        head: beginning of the stream, as much as is in memory.
        elements: top-level elements by tag.
        implicit: value representations are not written.
        little: byte order.
    """

    stream: BinaryIO
    head: bytes
    elements: dict[int, Element]
    implicit: bool
    little: bool

    def __contains__(self, tag: object) -> bool:
        return (tag if isinstance(tag, int) else Tag(tag)) in self.elements

    def value(self, tag: int) -> Any:
        """What pydicom gives as the element's value, numbers in text left as text; null where there is none.

        Raises:
            Exception: of several kinds, where the bytes do not fit their value representation.
        """
        element = self.elements.get(tag)
        if element is None:
            return None
        vr, _, begin, end, length, _ = element
        if vr is None:
            vr = (known_vr(tag) or "UN").encode()
        size = end - begin
        if size > MAX_VALUE_BYTES and vr != b"SQ" and length != _UNDEFINED:
            return None
        if vr in _TEXT or vr in _PROSE or vr in (b"DS", b"IS"):
            content = self.bytes_at(begin, size)
            if not content.isascii():
                return self._parsed(tag, element)
            text = content.decode("ascii").rstrip("\0 ")
            if vr in _PROSE:
                return text
            parts: Any = text.split("\\") if "\\" in text else text
            return _whole(parts) if vr == b"IS" else parts
        code = _BINARY.get(vr)
        if code is not None:
            count, rest = divmod(size, struct.calcsize(f"<{code}"))
            if rest:
                raise ValueError("the length is no multiple of the value's size")
            numbers = struct.unpack(f"{'<' if self.little else '>'}{count}{code}", self.bytes_at(begin, size))
            return None if not numbers else numbers[0] if count == 1 else list(numbers)
        return self._parsed(tag, element)

    def items(self, tag: int) -> int:
        """Number of items of a sequence whose items were located; 0 where there are none."""
        element = self.elements.get(tag)
        return len(element[5]) if element is not None and element[5] is not None else 0

    def item(self, tag: int, index: int) -> Dataset:
        """One item of such a sequence, parsed by itself."""
        found = self.elements[tag][5] or []
        begin, end, implicit = found[index]
        return self._read(begin, end, implicit) if end - begin >= 8 else Dataset()

    def _parsed(self, tag: int, element: Element) -> Any:
        _, start, _, end, _, _ = element
        content = b""
        charset = self.elements.get(_CHARSET)
        if charset is not None and tag != _CHARSET and charset[3] - charset[1] <= MAX_VALUE_BYTES:
            content = self.bytes_at(charset[1], charset[3] - charset[1])
        return self._read(start, end, self.implicit, content)[tag].value

    def _read(self, begin: int, end: int, implicit: bool, before: bytes = b"") -> Dataset:
        if end - begin > MAX_PARSED_BYTES:
            raise ValueError("too long to be parsed")
        content = before + self.bytes_at(begin, end - begin)
        if content.count(b"\xfe\xff\x00\xe0" if self.little else b"\xff\xfe\xe0\x00") > MAX_PARSED_ITEMS:
            raise ValueError("too many items to be parsed")
        return read_dataset(io.BytesIO(content), implicit, self.little)

    def bytes_at(self, begin: int, size: int) -> bytes:
        """Bytes of the stream, fewer at its end."""
        if begin + size <= len(self.head):
            return self.head[begin : begin + size]
        self.stream.seek(begin)
        return self.stream.read(size)


def is_vr(two: bytes) -> bool:
    """Whether two bytes look like a value representation."""
    return len(two) == 2 and 0x40 < two[0] < 0x5B and 0x40 < two[1] < 0x5B


@lru_cache(maxsize=8192)
def known_vr(tag: int) -> str | None:
    """The dictionary's value representation of a standard element; null for any other."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def _whole(parts: Any) -> Any:
    """Text of whole numbers as it is; a fraction is none."""
    for part in parts if isinstance(parts, list) else [parts]:
        if part.strip() and not float(part).is_integer():
            raise ValueError("not a whole number")
    return parts
