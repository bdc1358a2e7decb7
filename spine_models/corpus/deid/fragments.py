"""Encapsulated pixel data taken apart into its compressed frames.

Belongs here: fragments, offset tables, which fragments make a frame.
Does not belong here: what is inside a frame (codestream), or decoding it (pixels).
Source: DICOM PS3.5 annex A.4.
"""

from __future__ import annotations

import struct
from typing import Final

from pydicom.encaps import generate_frames

from spine_models.corpus.deid.quarantine import Reason, Refused

_ITEM: Final = 0xE000FFFE
_EMPTY_TABLE: Final = struct.pack("<II", _ITEM, 0)


def frames_of(value: bytes, frames: int) -> list[bytes]:
    """The compressed frames. The offset table is believed only where the fragments alone do not tell.

    Args:
        value: the pixel data element's value: offset table, fragments, perhaps a delimiter.
        frames: NumberOfFrames.

    Raises:
        Refused: a fragment is cut short, or the fragments are not so many frames.
    """
    table, fragments = _fragments(value)
    if len(fragments) == frames:
        return fragments
    if frames == 1:
        return [b"".join(fragments)]
    for told in (value, _EMPTY_TABLE + value[8 + len(table) :]):
        try:
            found = list(generate_frames(told, number_of_frames=frames))
        except (ValueError, EOFError, OSError, struct.error):
            continue
        if len(found) == frames:
            return found
    raise Refused(Reason.WRONG_PIXEL_LENGTH)


def _fragments(value: bytes) -> tuple[bytes, list[bytes]]:
    items, at = [], 0
    while at + 8 <= len(value):
        tag, size = struct.unpack_from("<II", value, at)
        at += 8
        if tag != _ITEM:
            break
        if at + size > len(value):
            raise Refused(Reason.TRUNCATED)
        items.append(value[at : at + size])
        at += size
    if len(items) < 2:
        raise Refused(Reason.TRUNCATED)
    return items[0], items[1:]
