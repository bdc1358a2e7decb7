"""Structure of a DICOM stream, checked before a library parses it: lengths, nesting and the pixel element.

Belongs here: telling DICOM from other content, and one pass over element headers (PS3.5 section 7) that is
not recursive, skips values and needs constant memory, so that hostile lengths and depths are found first.
Does not belong here: values other than the transfer syntax and SOP class of the file meta information.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from spine_models.corpus.archive.reasons import Reason
from spine_models.corpus.raw_header import Element, Item, is_vr, known_vr

MAX_ELEMENTS: Final = 1_000_000
"""Elements of one object that a reader may have to hold; ten thousand enhanced frames stay below."""

MAX_SPANS: Final = 100_000

MAX_ITEMS: Final = 20_000
"""Of functional groups, located one by one; those beyond are only walked over."""

GROUPS_TAGS: Final = frozenset({0x52009229, 0x52009230})

PIXEL_TAGS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_STRUCT: Final = {True: struct.Struct("<L"), False: struct.Struct(">L")}
_TAG_LENGTH: Final = {True: struct.Struct("<HHL"), False: struct.Struct(">HHL")}


@dataclass(frozen=True)
class Meta:
    """File meta information: where it begins and ends (bytes) and the two UIDs that decide how to go on."""

    begin: int
    end: int
    transfer_syntax_uid: str | None
    sop_class_uid: str | None


@dataclass(frozen=True)
class PixelElement:
    """The top-level pixel element: bytes of its value, or of all fragments of an encapsulated one.

    `spans` are (offset, length) of the first `MAX_SPANS` fragments behind the offset table.
    """

    length: int
    fragments: int | None
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Layout:
    """What one pass found.

    Attributes:
        implicit: the encoding met, whatever the transfer syntax says.
        header_end: offset behind the last whole top-level element before the pixel element.
        pixels: null when there is no pixel element.
        fault: the first thing that is wrong; everything up to `header_end` is sound in any case.
        elements: where each top-level element before the pixel element lies.
    """

    implicit: bool
    header_end: int
    pixels: PixelElement | None
    fault: Reason | None
    elements: dict[int, Element] = field(default_factory=dict)


def find_meta(head: bytes) -> int | None:
    """Offset of the first element (132 behind a preamble, else 0), null when the bytes are not DICOM.

    ``head`` is the first 144 bytes or more. Without a preamble the first element must be of group 0002 or
    0008 and look sound in one of the three encodings.
    """
    if head[128:132] == b"DICM":
        return 132
    if len(head) < 8:
        return None
    little, implicit_length = struct.unpack_from("<HHL", head)[0], struct.unpack_from("<L", head, 4)[0]
    if little in (0x0002, 0x0008) and (is_vr(head[4:6]) or (0 < implicit_length <= 64 and head[3] == 0)):
        return 0
    return 0 if head[:2] == b"\x00\x08" and is_vr(head[4:6]) else None


def read_meta(stream: BinaryIO, begin: int) -> Meta:
    """Read group 0002 (always explicit little endian) from ``begin``; ends before the first other group."""
    stream.seek(begin)
    position, uids = begin, {}
    while len(head := stream.read(8)) == 8:
        group, element, vr, length = struct.unpack("<HH2sH", head)
        if group != 0x0002:
            break
        offset = 8
        if vr in _LONG_VRS:
            extra = stream.read(4)
            if len(extra) < 4:
                break
            length, offset = struct.unpack("<L", extra)[0], 12
        if length > 65536:
            break
        value = stream.read(length)
        position += offset + length
        if element in (0x0002, 0x0010):
            uids[element] = value.decode("ascii", "replace").strip(" \0")
    return Meta(begin, position, uids.get(0x0010) or None, uids.get(0x0002) or None)


class _Fault(Exception):
    def __init__(self, reason: Reason) -> None:
        self.reason = reason


class StructureWalk:
    """One pass over a data set ``[begin, end)`` of a seekable stream.

    ``head`` is the beginning of the stream, as much of it as is in memory already.
    """

    def __init__(
        self,
        stream: BinaryIO,
        begin: int,
        end: int,
        *,
        implicit: bool,
        little: bool,
        max_nesting: int,
        head: bytes = b"",
    ) -> None:
        self._stream = stream
        self._head = head
        self._head_end = len(head)
        self._begin = begin
        self._end = end
        self._little = little
        self._max_nesting = max_nesting
        self._explicit_head = struct.Struct("<HH2sH" if little else ">HH2sH")
        self._implicit = self._encoding(implicit)
        self._elements = 0

    def run(self, stop_above: int | None = None) -> Layout:
        """Walk to the end, or to the first top-level tag above ``stop_above``."""
        position, header_end, pixels = self._begin, self._begin, None
        fault, elements = None, {}
        end, implicit = self._end, self._implicit
        head, in_memory, elements_seen = self._head, min(self._head_end, self._end), 0
        unpack, unpack_long = self._explicit_head.unpack_from, _LONG_STRUCT[self._little].unpack_from
        try:
            while position < end:
                if end - position < 8:
                    fault = None if pixels is not None else Reason.TRUNCATED
                    break
                if not implicit and position + 12 <= in_memory:  # nearly every element: without calls
                    group, element, vr, length = unpack(head, position)
                    tag, value = group << 16 | element, position + 8
                    if vr in _LONG_VRS:
                        length, value = unpack_long(head, value)[0], position + 12
                    elif vr not in _SHORT_VRS:
                        tag, vr, length, value = self._element(position, end, implicit)
                    elements_seen += 1
                    if elements_seen > MAX_ELEMENTS:
                        raise _Fault(Reason.TOO_LARGE)
                else:
                    tag, vr, length, value = self._element(position, end, implicit)
                behind_pixels = pixels is not None and tag <= 0x7FE00010
                if behind_pixels or (stop_above is not None and tag > stop_above):
                    break  # bytes behind the data set are no elements
                if tag in PIXEL_TAGS:
                    position, pixels = self._pixel_element(length, value)
                    continue
                start, items = position, None
                if vr is not None and vr != b"SQ" and vr != b"UN" and length != _UNDEFINED:
                    position = value + length
                    if position > end:
                        raise _Fault(Reason.TRUNCATED)
                else:
                    items = [] if tag in GROUPS_TAGS else None
                    position = self._behind(tag, vr, length, value, end, implicit, items)
                if pixels is None:
                    header_end = position
                    elements[tag] = (vr, start, value, position, length, items)
        except _Fault as found:
            fault = found.reason
        return Layout(implicit, header_end, pixels, fault, elements)

    def _at(self, position: int, size: int) -> bytes:
        end = position + size
        if end <= self._head_end:
            return self._head[position:end]
        self._stream.seek(position)
        return self._stream.read(size)

    def _encoding(self, declared_implicit: bool) -> bool:
        """The encoding by the first element's bytes: some writers declare the other one."""
        head = self._at(self._begin, 8)
        return declared_implicit if len(head) < 8 else not is_vr(head[4:6])

    def _element(self, position: int, limit: int, implicit: bool) -> tuple[int, bytes | None, int, int]:
        """Tag, value representation (null when implicit), length and offset of the value."""
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise _Fault(Reason.TOO_LARGE)
        head = self._at(position, 8)
        if not implicit:
            group, element, vr, length = self._explicit_head.unpack(head)
            if vr in _SHORT_VRS:
                return group << 16 | element, vr, length, position + 8
            if vr in _LONG_VRS:
                if limit - position < 12:
                    raise _Fault(Reason.TRUNCATED if limit == self._end else Reason.MALFORMED)
                length = _LONG_STRUCT[self._little].unpack(self._at(position + 8, 4))[0]
                return group << 16 | element, vr, length, position + 12
            if b"AA" <= vr <= b"ZZ":  # a value representation of a later edition: short form, as readers do
                return group << 16 | element, vr, length, position + 8
        group, element, length = _TAG_LENGTH[self._little].unpack(head)
        return group << 16 | element, None, length, position + 8

    def _behind(
        self,
        tag: int,
        vr: bytes | None,
        length: int,
        value: int,
        limit: int,
        implicit: bool,
        items: list[Item] | None,
    ) -> int:
        """Offset behind an element, its nested content walked; ``items`` collects where those of a sequence lie."""
        if self._is_sequence(tag, vr, length, value):
            return self._sequence(value, length, limit, implicit, items)
        if length == _UNDEFINED:
            return self._fragments(value, limit)[0]
        end = self._bounded(value, length, limit)
        if vr in (None, b"UN") and tag >> 16 & 1 and length >= 8 and self._tag_at(value) == _ITEM:
            try:
                self._sequence(value, length, limit, implicit)
            except _Fault as found:  # a private value may only look like a sequence, but its depth counts
                if found.reason is Reason.TOO_DEEP:
                    raise
        return end

    def _sequence(
        self, begin: int, length: int, limit: int, implicit: bool, items: list[Item] | None = None
    ) -> int:
        """Walk a sequence with an explicit stack of (of items, end or null, bound, implicit)."""
        end = None if length == _UNDEFINED else self._bounded(begin, length, limit)
        stack: list[tuple[bool, int | None, int, bool]] = [(True, end, end or limit, implicit)]
        position, depth = begin, 1
        while stack:
            of_items, end, bound, implicit = stack[-1]
            if position == end:
                stack.pop()
                depth -= of_items
                if items is not None and len(stack) == 1:
                    items[-1] = Item(items[-1].begin, position, implicit)
                continue
            if bound - position < 8:
                raise _Fault(Reason.TRUNCATED if bound == self._end else Reason.MALFORMED)
            if of_items:
                self._elements += 1
                if self._elements > MAX_ELEMENTS:
                    raise _Fault(Reason.TOO_LARGE)
                tag, length, value = self._item_head(position)
                if tag == _SEQUENCE_END:
                    position = value if end is None else end
                    stack.pop()
                    depth -= 1
                    continue
                if tag != _ITEM:
                    raise _Fault(Reason.MALFORMED)
                position = value
                inner = None if length == _UNDEFINED else self._bounded(value, length, bound)
                if items is not None and len(stack) == 1:
                    if len(items) < MAX_ITEMS:
                        items.append(Item(value, value, implicit))
                    else:
                        items = None
                stack.append((False, inner, inner or bound, implicit or self._item_is_implicit(value, bound)))
                continue
            tag, vr, length, value = self._element(position, bound, implicit)
            if tag == _ITEM_END:
                if items is not None and len(stack) == 2:
                    items[-1] = Item(items[-1].begin, position, implicit)
                position = value if end is None else end
                stack.pop()
            elif tag >> 16 == 0xFFFE:
                raise _Fault(Reason.MALFORMED)
            elif self._is_sequence(tag, vr, length, value):
                depth += 1
                if depth > self._max_nesting:
                    raise _Fault(Reason.TOO_DEEP)
                inner = None if length == _UNDEFINED else self._bounded(value, length, bound)
                stack.append((True, inner, inner or bound, implicit))
                position = value
            elif length == _UNDEFINED:
                position = self._fragments(value, bound)[0]
            else:
                position = self._bounded(value, length, bound)
        return position

    def _is_sequence(self, tag: int, vr: bytes | None, length: int, value: int) -> bool:
        if vr == b"SQ":
            return True
        if vr not in (None, b"UN"):
            return False
        known = known_vr(tag)
        if length == _UNDEFINED:
            return vr == b"UN" or known == "SQ" or (known is None and self._tag_at(value) == _ITEM)
        return known == "SQ"

    def _pixel_element(self, length: int, value: int) -> tuple[int, PixelElement]:
        if length != _UNDEFINED:
            return self._bounded(value, length, self._end), PixelElement(length, None)
        spans: list[tuple[int, int]] = []
        position, count, total = self._fragments(value, self._end, spans)
        return position, PixelElement(total, count, tuple(spans))

    def _fragments(
        self, position: int, limit: int, spans: list[tuple[int, int]] | None = None
    ) -> tuple[int, int, int]:
        """Offset behind the sequence delimiter, number of fragments behind the offset table, their bytes."""
        count, total = -1, 0
        while limit - position >= 8:
            self._elements += 1
            tag, length, value = self._item_head(position)
            if tag == _SEQUENCE_END:
                return value, max(count, 0), total
            if tag != _ITEM or length == _UNDEFINED or self._elements > MAX_ELEMENTS:
                raise _Fault(Reason.MALFORMED)
            position = self._bounded(value, length, limit)
            count += 1
            if count:
                total += length
                if spans is not None and count <= MAX_SPANS:
                    spans.append((value, length))
        raise _Fault(Reason.TRUNCATED if limit == self._end else Reason.MALFORMED)

    def _bounded(self, value: int, length: int, limit: int) -> int:
        end = value + length
        if end > limit:
            raise _Fault(Reason.TRUNCATED if end > self._end else Reason.MALFORMED)
        return end

    def _item_head(self, position: int) -> tuple[int, int, int]:
        group, element, length = _TAG_LENGTH[self._little].unpack(self._at(position, 8))
        return group << 16 | element, length, position + 8

    def _tag_at(self, position: int) -> int | None:
        head = self._at(position, 8)
        if len(head) < 8:
            return None
        group, element, _ = _TAG_LENGTH[self._little].unpack(head)
        return group << 16 | element

    def _item_is_implicit(self, position: int, bound: int) -> bool:
        """An item of an explicit data set may be implicit (PS3.5 section 6.2.2); its bytes tell."""
        if bound - position < 8:
            return False
        head = self._at(position, 8)
        return head[:2] not in (b"\xfe\xff", b"\xff\xfe") and not is_vr(head[4:6])
