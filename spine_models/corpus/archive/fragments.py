"""Whether compressed pixel data can be what the header claims, by the first bytes of its fragments.

Belongs here: number of images, rows, columns and samples as the codestreams themselves state them (JPEG ITU-T T.81,
JPEG-LS T.87, JPEG 2000 and HTJ2K T.800/T.814, RLE PS3.5 annex G). Does not belong here: decoding.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from spine_models.corpus.archive.reasons import Reason

RLE: Final = "1.2.840.10008.1.2.5"
_JPEG: Final = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81))
_JPEG_2000: Final = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 92, 93, 201, 202, 203))
_SOI: Final = b"\xff\xd8"
_SOC: Final = b"\xff\x4f\xff\x51"
_JP2_BOX: Final = b"\x00\x00\x00\x0cjP  "
_FRAME_MARKERS: Final = frozenset(
    (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), 0xCD, 0xCE, 0xCF, 0xF7)
)
_HEAD_BYTES: Final = 64 * 1024
_RLE_EXPANSION: Final = 64  # two bytes stand for at most 128

Read = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Claim:
    """What the header says of its pixels."""

    rows: int
    columns: int
    samples: int
    sample_bytes: int
    frames: int


def fault_of(syntax: str, spans: Sequence[tuple[int, int]], claim: Claim, read: Read) -> Reason | None:
    """The first contradiction between header and fragments; null where there is none or the codec is not known.

    Args:
        syntax: transfer syntax UID.
        spans: (offset, length) of every fragment behind the offset table.
        claim: the header's numbers.
        read: ``read(offset, size)`` gives bytes of the file, fewer at its end.
    """
    if syntax == RLE:
        return _rle_fault(spans, claim, read)
    if syntax in _JPEG:
        return _image_fault(spans, claim, read, (_SOI,), _jpeg_size)
    if syntax in _JPEG_2000:
        return _image_fault(spans, claim, read, (_SOC, _JP2_BOX), _jpeg_2000_size)
    return None


def _rle_fault(spans: Sequence[tuple[int, int]], claim: Claim, read: Read) -> Reason | None:
    if len(spans) != claim.frames:  # one fragment a frame (PS3.5 A.4.2)
        return Reason.WRONG_PIXEL_LENGTH
    segments = claim.samples * claim.sample_bytes
    for offset, length in spans:
        head = read(offset, min(length, 64))
        if len(head) < 64:
            return Reason.WRONG_PIXEL_LENGTH
        count, *starts = struct.unpack("<16L", head)
        ends = [*starts[1:count], length]
        if count != segments or count > 15 or starts[0] != 64:
            return Reason.CODESTREAM_MISMATCH
        for start, end in zip(starts[:count], ends, strict=True):
            if not start <= end <= length or (end - start) * _RLE_EXPANSION < claim.rows * claim.columns:
                return Reason.WRONG_PIXEL_LENGTH
    return None


def _image_fault(
    spans: Sequence[tuple[int, int]],
    claim: Claim,
    read: Read,
    starts: tuple[bytes, ...],
    size_of: Callable[[bytes], tuple[int, int, int] | None],
) -> Reason | None:
    images = [(o, n) for o, n in spans if read(o, min(n, 8)).startswith(starts)]
    if not images or images[0] != spans[0]:
        return Reason.CODESTREAM_MISMATCH
    if len(images) != claim.frames:
        return Reason.WRONG_PIXEL_LENGTH
    for offset, length in images:
        found = size_of(read(offset, min(length, _HEAD_BYTES)))
        if found is not None and found != (claim.rows, claim.columns, claim.samples):
            return Reason.CODESTREAM_MISMATCH
    return None


def _jpeg_size(head: bytes) -> tuple[int, int, int] | None:
    """Rows, columns, components of the frame header; null when it is not in ``head`` or leaves the rows open."""
    at = 2
    while at + 10 <= len(head):
        if head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _FRAME_MARKERS:
            rows, columns, components = struct.unpack_from(">HHB", head, at + 5)
            return (rows, columns, components) if rows else None
        at += 2 + struct.unpack_from(">H", head, at + 2)[0]
    return None


def _jpeg_2000_size(head: bytes) -> tuple[int, int, int] | None:
    if not head.startswith(_SOC) or len(head) < 42:
        return None  # in a JP2 file the codestream comes after boxes
    columns, rows, left, top = struct.unpack_from(">4L", head, 8)
    return rows - top, columns - left, struct.unpack_from(">H", head, 40)[0]
