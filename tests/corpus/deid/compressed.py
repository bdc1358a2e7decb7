"""MR pixels in every transfer syntax, with something hidden where the syntax has room for it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from itertools import chain

import imagecodecs
import numpy as np
from pydicom.encaps import encapsulate

NATIVE = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "big": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
}
ENCAPSULATED = {
    "rle": "1.2.840.10008.1.2.5",
    "jpeg_baseline": "1.2.840.10008.1.2.4.50",
    "jpeg_extended": "1.2.840.10008.1.2.4.51",
    "jpeg_lossless": "1.2.840.10008.1.2.4.70",
    "jpeg_ls": "1.2.840.10008.1.2.4.80",
    "jpeg_2000": "1.2.840.10008.1.2.4.90",
    "ht_jpeg_2000": "1.2.840.10008.1.2.4.201",
}
SYNTAXES = NATIVE | ENCAPSULATED
_ENCODE: dict[str, Callable[[np.ndarray], bytes]] = {
    "jpeg_baseline": lambda a: imagecodecs.jpeg8_encode(a.astype(np.uint8), level=95),
    "jpeg_extended": lambda a: imagecodecs.jpeg8_encode(a, bitspersample=12, level=95),
    "jpeg_lossless": lambda a: imagecodecs.ljpeg_encode(a, bitspersample=12),
    "jpeg_ls": imagecodecs.jpegls_encode,
    "jpeg_2000": lambda a: imagecodecs.jpeg2k_encode(
        a, codecformat="j2k", reversible=True, bitspersample=12, level=0
    ),
    "ht_jpeg_2000": imagecodecs.htj2k_encode,
}


def image(rng: random.Random, frames: int, syntax: str) -> np.ndarray:
    """Smooth 12-bit slices (8-bit ones for baseline JPEG): uint16 [frames, 24, 20]."""
    noise = np.random.default_rng(rng.randint(0, 2**31)).integers(0, 40, (frames, 24, 20))
    smooth = (
        np.add.outer(np.arange(frames) * 50, np.add.outer(np.arange(24) * 60, np.arange(20) * 90)) + noise
    )
    return (smooth.clip(0, 4095) // (16 if syntax == "jpeg_baseline" else 1)).astype(np.uint16)


def encode(pixels: np.ndarray, syntax: str, hide: list[bytes], rng: random.Random) -> bytes:
    """Encapsulated frames with every text of ``hide`` inside the streams, their tails or between them."""
    frames = [_rle(f) if syntax == "rle" else bytes(_ENCODE[syntax](f)) for f in pixels]
    for text in hide:
        at = rng.randrange(len(frames))
        frames[at] = _hidden(frames[at], syntax, text, rng)
    return encapsulate(frames, has_bot=rng.random() < 0.5)


def _hidden(frame: bytes, syntax: str, text: bytes, rng: random.Random) -> bytes:
    if syntax == "rle" or rng.random() < 0.3:
        return frame + text + b"\x00" * (len(text) % 2)
    if syntax.endswith("2000"):
        size = 4 + struct.unpack(">H", frame[4:6])[0]
        return frame[:size] + b"\xff\x64" + struct.pack(">HH", len(text) + 4, 1) + text + frame[size:]
    if (
        rng.random() < 0.3 and syntax != "jpeg_ls"
    ):  # whose decoder refuses; after the entropy-coded bytes, before the end marker
        end = frame.rfind(b"\xff\xd9")
        return frame[:end] + text + frame[end:]
    marker = rng.choice([0xFE, *range(0xE1, 0xF0)])
    return frame[:2] + b"\xff" + bytes([marker]) + struct.pack(">H", len(text) + 2) + text + frame[2:]


def _rle(frame: np.ndarray) -> bytes:
    high, low = (frame >> 8).astype(np.uint8), (frame & 0xFF).astype(np.uint8)
    segments = [b"".join(_packbits(row) for row in plane) for plane in (high, low)]
    segments = [s + b"\x00" * (len(s) % 2) for s in segments]
    header = struct.pack("<16L", 2, 64, 64 + len(segments[0]), *[0] * 13)
    return header + b"".join(segments)


def _packbits(row: np.ndarray) -> bytes:
    return bytes(chain([len(row) - 1], row.tolist()))
