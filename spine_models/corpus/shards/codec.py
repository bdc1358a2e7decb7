"""The bytes of one stored slice: a fixed header, then losslessly compressed 16-bit pixels.

Format 2, member suffix ``.slice``: 48 bytes little endian (magic ``SPSL``, format, rows, columns, two reserved
bytes, CRC-32 of the pixels' bytes, then as float64 the intensity of stored 0, the intensity of one step, and the
window's ends), then the pixels as a pcodec stream (Pcodec 1.0: binning and tANS over first differences). So a slice
explains itself: intensities and window need no index. Format 1, member suffix ``.png``, held a 16-bit PNG of pixels
that the window had clipped already; it stays readable, its intensities do not come back.

pcodec is the smallest of the measured codecs that decode at least five times as fast as PNG
(``tests/benchmarks/codecs.py`` prints the table).

Belongs here: encoding, decoding, format numbers. Does not belong here: tars (``write``, ``reader``), what the
numbers mean for a series (``preprocess``).
"""

from __future__ import annotations

import io
import struct
import threading
from dataclasses import dataclass
from typing import Final

import imagecodecs
import numpy as np
from PIL import Image

from spine_models.corpus.shards.preprocess import Quantum, apply_window

FORMAT: Final = 2
"""Number of the format that is written; the index and each member carry it."""

SUFFIX: Final = "slice"
"""Member suffix of format 2."""

SUFFIXES: Final = (SUFFIX, "png")
"""Member suffixes that can be read."""

_MAGIC: Final = b"SPSL"
_HEADER: Final = struct.Struct("<4sHHHHIdddd")
_LEVEL: Final = 8


class CodecError(ValueError):
    """Bytes that are not a slice of a known format; the message says what was found."""


class Rooms(threading.local):
    """Memory that a thread's slices are decoded in, one after the other.

    Fresh memory for every slice is given back to the system and zeroed again each time, which takes as long as half of
    the decoding.
    """

    def __init__(self) -> None:
        self._held: dict[type, np.ndarray] = {}
        self._content = memoryview(bytearray())

    def of(self, kind: type, shape: tuple[int, ...]) -> np.ndarray:
        """An array of this type and shape with anything in it; the next call for the type may give the same memory."""
        held = self._held.get(kind)
        if held is None or held.shape != shape:
            held = self._held[kind] = np.empty(shape, kind)
        return held

    def content(self, size: int) -> memoryview:
        """``size`` bytes with anything in them; the next call may give the same memory."""
        if len(self._content) < size:
            self._content = memoryview(bytearray(2 * size))
        return self._content[:size]


@dataclass(frozen=True)
class StoredSlice:
    """A decoded member.

    Attributes:
        stored: uint16 [S, S]; source intensity = quantum.origin + quantum.step * stored.
        quantum: None for format 1, which kept no intensities.
        window: source intensities (low, high) shown as 0 and 65535; None for format 1.
    """

    stored: np.ndarray
    quantum: Quantum | None
    window: tuple[float, float] | None

    def windowed(self, rooms: Rooms | None = None) -> np.ndarray:
        """The slice as every encoder sees it: uint16 [S, S], 0 at the window's low end, 65535 at its high end.

        It is new memory; ``rooms`` are only calculated in.
        """
        if self.quantum is None or self.window is None:
            return self.stored
        room = None if rooms is None else rooms.of(np.float32, self.stored.shape)
        return apply_window(self.stored, self.quantum, self.window, room=room)

    def intensities(self) -> np.ndarray:
        """Source intensities, float32 [S, S], nothing clipped.

        Raises:
            CodecError: a slice of format 1.
        """
        if self.quantum is None:
            raise CodecError("a slice of format 1 kept no intensities: write the shards of its batch again")
        return (self.quantum.origin + self.quantum.step * self.stored.astype(np.float64)).astype(np.float32)


def encode(stored: np.ndarray, quantum: Quantum, window: tuple[float, float]) -> bytes:
    """One slice as bytes of format 2; equal input gives equal bytes.

    Args:
        stored: uint16 [H, W].
        quantum: what a stored value means.
        window: (low, high) source intensities; low > high for an inverted image.

    Raises:
        CodecError: an array of another type or shape.
    """
    if stored.dtype != np.uint16 or stored.ndim != 2 or max(stored.shape) > 0xFFFF:
        raise CodecError(f"a slice is uint16 of two dimensions, not {stored.dtype} of shape {stored.shape}")
    pixels = bytes(imagecodecs.pcodec_encode(np.ascontiguousarray(stored), level=_LEVEL))
    check = imagecodecs.deflate_crc32(pixels)
    head = _HEADER.pack(_MAGIC, FORMAT, *stored.shape, 0, check, quantum.origin, quantum.step, *window)
    return head + pixels


def decode(content: bytes | memoryview, suffix: str = SUFFIX, *, rooms: Rooms | None = None) -> StoredSlice:
    """The inverse of ``encode``, and of format 1 for suffix ``png``.

    Args:
        content: the member.
        suffix: of the member.
        rooms: where ``stored`` of format 2 may lie; it holds until the next slice is decoded there.

    Raises:
        CodecError: unknown suffix or format, or bytes that are cut or not a slice.
    """
    if suffix == "png":
        return StoredSlice(_decode_png(content), None, None)
    if suffix != SUFFIX:
        raise CodecError(f"members of suffix {suffix!r} are of no format that this version reads")
    if len(content) < _HEADER.size or bytes(content[:4]) != _MAGIC:
        raise CodecError("not a slice: its header is missing")
    _, number, rows, columns, _, check, origin, step, low, high = _HEADER.unpack_from(content)
    if number != FORMAT:
        raise CodecError(f"slice format {number} is newer than this version, which reads up to {FORMAT}")
    pixels = memoryview(content)[_HEADER.size :]
    if imagecodecs.deflate_crc32(pixels) != check:
        raise CodecError("a slice whose pixels have changed since they were written")
    shape = (rows, columns)
    stored = np.empty(shape, np.uint16) if rooms is None else rooms.of(np.uint16, shape)
    try:
        imagecodecs.pcodec_decode(pixels, out=stored)
    except (RuntimeError, ValueError) as error:
        raise CodecError("a slice whose pixels cannot be decoded") from error
    return StoredSlice(stored, Quantum(origin, step), (low, high))


def _decode_png(content: bytes | memoryview) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image).astype(np.uint16, copy=False)
    except (OSError, ValueError, SyntaxError) as error:
        raise CodecError("a slice whose PNG cannot be decoded") from error
