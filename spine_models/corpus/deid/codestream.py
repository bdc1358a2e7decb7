"""Comment-free JPEG, JPEG-LS and JPEG 2000 frames: marker segments that carry text go, image bytes stay.

Belongs here: walking marker segments of one compressed frame.
Does not belong here: decoding, or DICOM encapsulation (pixels).
Sources: ITU-T T.81 annex B, T.87 annex C, T.800 annex A.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

_NEXT_MARKER: Final = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_JPEG_KEPT: Final = frozenset({*range(0xC0, 0xD0), 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0xF7})
"""With the coding parameters of JPEG-LS; its mapping tables are for colours and could carry anything."""
_J2K_KEPT: Final = frozenset({0x50, 0x51, 0x52, 0x53, 0x59, 0x5C, 0x5D, 0x5E, 0x5F, 0x60, 0x61})


class BrokenCodestream(ValueError):
    """A compressed frame whose marker segments cannot be walked to its end."""


@dataclass(frozen=True)
class Stripped:
    """A frame without anything but its image, how many segments went, and what it declares of itself."""

    frame: bytes
    removed: int
    precision: int
    rows: int
    columns: int
    components: int


def strip_frame(frame: bytes) -> Stripped:
    """A frame without comments, application segments and bytes after its end.

    Raises:
        BrokenCodestream: neither JPEG, JPEG-LS nor JPEG 2000, or cut short.
    """
    if frame[:2] == b"\xff\xd8":
        return _strip_jpeg(frame)
    if frame[:4] == b"\xff\x4f\xff\x51":
        return _strip_j2k(frame)
    if frame[4:8] == b"jP  ":
        start = frame.find(b"\xff\x4f\xff\x51")
        if start > 0:
            inner = _strip_j2k(frame[start:])
            return replace(inner, removed=inner.removed + 1)
    raise BrokenCodestream("a compressed frame begins with no known marker")


def _segment(frame: bytes, at: int) -> int:
    size = int.from_bytes(frame[at + 2 : at + 4], "big")
    if size < 2 or at + 2 + size > len(frame):
        raise BrokenCodestream("a marker segment runs past the end of its frame")
    return at + 2 + size


def _strip_jpeg(frame: bytes) -> Stripped:
    out, at, removed, shape = [frame[:2]], 2, 0, (0, 0, 0, 0)
    while True:
        while frame[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 1 >= len(frame) or frame[at] != 0xFF:
            raise BrokenCodestream("a compressed frame has no end marker")
        marker = frame[at + 1]
        if marker == 0xD9:
            return Stripped(b"".join([*out, b"\xff\xd9"]), removed, *shape)
        end = _segment(frame, at)
        if marker in (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7):
            if end < at + 10:
                raise BrokenCodestream("a frame header is too short")
            rows, columns = (int.from_bytes(frame[i : i + 2], "big") for i in (at + 5, at + 7))
            shape = (frame[at + 4], rows, columns, frame[at + 9])
        if marker == 0xDA:
            following = _NEXT_MARKER.search(frame, end)
            if not following:
                raise BrokenCodestream("a compressed frame has no end marker")
            out.append(frame[at : following.start()])
            end = following.start()
        elif marker in _JPEG_KEPT or (marker == 0xF8 and frame[at + 4] == 1):
            out.append(frame[at:end])
        else:
            removed += 1
        at = end


def _strip_j2k(frame: bytes) -> Stripped:
    if len(frame) < 43:
        raise BrokenCodestream("a codestream header is broken")
    x, y, x0, y0 = (int.from_bytes(frame[i : i + 4], "big") for i in (8, 12, 16, 20))
    shape = ((frame[42] & 0x7F) + 1, y - y0, x - x0, int.from_bytes(frame[40:42], "big"))
    head, at, removed = _j2k_header(frame, 2, (0x90,))
    out = [frame[:2], head]
    while frame[at : at + 2] == b"\xff\x90":
        length = int.from_bytes(frame[at + 6 : at + 10], "big")
        end = at + length if length else frame.rfind(b"\xff\xd9")
        if length == 1 or end > len(frame) or end <= at:
            raise BrokenCodestream("a tile part runs past the end of its frame")
        kept, data, dropped = _j2k_header(frame, at + 12, (0x93,))
        body = kept + frame[data:end]
        out.append(frame[at : at + 6] + (len(body) + 12).to_bytes(4, "big") + frame[at + 10 : at + 12] + body)
        at, removed = end, removed + dropped
    if frame[at : at + 2] != b"\xff\xd9":
        raise BrokenCodestream("a compressed frame has no end marker")
    return Stripped(b"".join([*out, b"\xff\xd9"]), removed, *shape)


def _j2k_header(frame: bytes, at: int, until: tuple[int, ...]) -> tuple[bytes, int, int]:
    out, removed = [], 0
    while at + 4 <= len(frame) and frame[at] == 0xFF and frame[at + 1] not in until:
        end = _segment(frame, at)
        if frame[at + 1] in _J2K_KEPT:
            out.append(frame[at:end])
        else:
            removed += 1
        at = end
    if at + 2 > len(frame) or frame[at] != 0xFF:
        raise BrokenCodestream("a codestream header is broken")
    return b"".join(out), at, removed
