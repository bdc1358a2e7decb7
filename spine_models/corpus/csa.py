"""The text values of a Siemens CSA header: the private element in which a mosaic says how many tiles it has.

Belongs here: reading (0029,1010) and (0029,1020) of the SV10 layout and the one before it, with every length bounded.
Does not belong here: what a value means (``geometry``). The layout is not published; it is as nibabel and other readers
found it: a count of tags, then per tag a name of 64 bytes, four words, the number of items, one word, and per item four
words of which the second (SV10) is the length of its text, padded to a multiple of four.
"""

from __future__ import annotations

import struct
from typing import Final

_MAX_TAGS: Final = 1024
_MAX_ITEMS: Final = 1024
_MAX_BYTES: Final = 4 * 1024**2


def csa_values(content: bytes, name: str) -> list[str]:
    """Texts of one tag without the empty ones; an empty list where it is absent or the bytes are no CSA header."""
    if len(content) > _MAX_BYTES:
        return []
    try:
        return _values(content, name.encode("ascii"))
    except (struct.error, ValueError):
        return []


def _values(content: bytes, name: bytes) -> list[str]:
    newer = content[:4] == b"SV10"
    at = 8 if newer else 0
    tags = struct.unpack_from("<L", content, at)[0]
    at += 8
    if not 0 < tags <= _MAX_TAGS:
        return []
    for _ in range(tags):
        tag = content[at : at + 64].split(b"\0", 1)[0]
        items = struct.unpack_from("<L", content, at + 76)[0]
        at += 84
        if items > _MAX_ITEMS:
            return []
        found = []
        for _ in range(items):
            words = struct.unpack_from("<4L", content, at)
            length = words[1] if newer else words[0]
            at += 16
            if length > len(content) - at:
                return []
            found.append(content[at : at + length].split(b"\0", 1)[0].decode("ascii", "replace").strip())
            at += length + -length % 4
        if tag == name:
            return [text for text in found if text]
    return []
