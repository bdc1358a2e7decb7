"""Pixel data as it may leave: only the bits of the image, no comments, no bytes beyond it.

Belongs here: length checks, masking of bits outside BitsStored, comment-free encapsulated frames, the pixel hash.
Does not belong here: looking at the image, or any other attribute.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from spine_models.corpus.deid.codestream import BrokenCodestream, strip_frame
from spine_models.corpus.deid.fragments import frames_of
from spine_models.corpus.deid.quarantine import NATIVE, Reason, Refused

_PROSE: Final = re.compile(rb"[A-Za-z0-9 ^,.=:'\-]{14,}")
"""Text inside compressed data; so long a run occurs by chance in about one megabyte of ten."""
_NOTHING: Final = re.compile(rb"(?!)")


@dataclass(frozen=True)
class CleanPixels:
    """Pixel data ready to be written.

    ``value`` is native little-endian samples or an encapsulated stream, ``image`` the samples or the frames in it;
    ``cleaned`` counts what was taken out.
    """

    value: bytes
    vr: str
    transfer_syntax: str
    image: tuple[bytes, ...]
    cleaned: int

    @cached_property
    def sha256(self) -> str:
        """Hash of the samples (native) or of the frames (encapsulated); taken when it is asked for."""
        digest = hashlib.sha256()
        for part in self.image:
            digest.update(part)
        return digest.hexdigest()


@dataclass(frozen=True)
class _Layout:
    rows: int
    columns: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool

    @property
    def length(self) -> int:
        return self.rows * self.columns * self.frames * self.allocated // 8


def _layout(dataset: Dataset) -> _Layout:
    try:
        allocated = int(dataset.BitsAllocated)
        stored = int(dataset.get("BitsStored") or allocated)
        layout = _Layout(
            rows=int(dataset.Rows),
            columns=int(dataset.Columns),
            frames=int(dataset.get("NumberOfFrames") or 1),
            allocated=allocated,
            stored=stored,
            high=int(dataset.get("HighBit", stored - 1)),
            signed=int(dataset.get("PixelRepresentation") or 0) == 1,
        )
    except (AttributeError, TypeError, ValueError):
        raise Refused(Reason.WRONG_PIXEL_LENGTH) from None
    if (
        allocated not in (8, 16, 32)
        or not 0 < stored <= allocated
        or not stored - 1 <= layout.high < allocated
    ):
        raise Refused(Reason.WRONG_PIXEL_LENGTH)
    return layout


def clean_pixels(dataset: Dataset, known: re.Pattern[bytes] = _NOTHING) -> CleanPixels:
    """The pixel data of an MR object without anything that is not image.

    Native samples, and RLE, come out as little-endian samples with the bits outside BitsStored cleared (sign
    bits repeated for signed data). JPEG, JPEG-LS and JPEG 2000 frames keep their image bytes; a frame whose
    declared precision exceeds BitsStored, or that holds text between its image bytes, is decoded and written
    uncompressed instead, because something could hide in it.

    Args:
        dataset: as read, with its file meta.
        known: identifiers of the patient, searched in compressed bytes in lower case.

    Raises:
        Refused: no pixels, wrong length, another size than the header says, colour, or a frame that cannot be
            walked or decoded.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if "PixelData" not in dataset:
        raise Refused(Reason.NO_PIXELS)
    layout = _layout(dataset)
    value = dataset["PixelData"].value or b""
    if syntax in NATIVE:
        expected = layout.length
        if len(value) not in (expected, expected + expected % 2):
            raise Refused(Reason.TRUNCATED if len(value) < expected else Reason.WRONG_PIXEL_LENGTH)
        order = ">" if syntax == "1.2.840.10008.1.2.2" and dataset["PixelData"].VR != "OB" else "<"
        samples = np.frombuffer(value[:expected], dtype=f"{order}u{layout.allocated // 8}")
        tail = np.any(np.frombuffer(value[expected:], np.uint8))
        if order == "<" and _within(samples, layout):
            return _released(bytes(value[:expected]), layout, bool(tail))
        return _native(samples, layout, tail)
    frames = frames_of(value, layout.frames)
    decoded = _decoded(dataset, frames, layout)
    if syntax != RLELossless:
        kept = _encapsulated(frames, layout, syntax, known)
        if kept and (not kept.cleaned or _same(dataset, kept, layout, decoded)):
            return kept
    return _native(decoded, layout, True)


def _native(samples: np.ndarray, layout: _Layout, cleaned: bool | np.bool) -> CleanPixels:
    masked = mask_samples(samples, layout.stored, layout.high, layout.signed)
    return _released(masked.tobytes(), layout, bool(cleaned) or not np.array_equal(masked, samples))


def _within(samples: np.ndarray, layout: _Layout) -> bool:
    """Whether nothing stands outside the stored bits, so that the bytes may stay as they are (a quick test)."""
    size = samples.dtype.itemsize * 8
    if layout.stored == size or samples.size == 0:
        return layout.stored == size
    if layout.high != layout.stored - 1:
        return False
    if not layout.signed:
        return bool(samples.max() < 1 << layout.stored)
    values, half = samples.view(f"<i{size // 8}"), 1 << (layout.stored - 1)
    return bool(values.min() >= -half and values.max() < half)


def _released(raw: bytes, layout: _Layout, changed: bool) -> CleanPixels:
    return CleanPixels(
        value=raw + b"\x00" if len(raw) % 2 else raw,
        vr="OW" if layout.allocated > 8 else "OB",
        transfer_syntax=str(ExplicitVRLittleEndian),
        image=(raw,),
        cleaned=int(changed),
    )


def mask_samples(samples: np.ndarray, stored: int, high: int, signed: bool) -> np.ndarray:
    """Samples with every bit outside the stored ones cleared, or a copy of the sign for signed data.

    Args:
        samples: unsigned integers of 8, 16 or 32 bits in any byte order and shape.
        stored: BitsStored.
        high: HighBit, the position of the most significant stored bit.
        signed: PixelRepresentation is 1.

    Returns:
        Little-endian unsigned integers of the same shape.
    """
    size = samples.dtype.itemsize
    plain = samples.astype(f"<u{size}", copy=False)
    if stored == size * 8:
        return plain
    if not signed or high != stored - 1:
        return plain & np.array(((1 << stored) - 1) << (high + 1 - stored), dtype=plain.dtype)
    spare = size * 8 - stored
    return ((plain << spare).view(f"<i{size}") >> spare).view(f"<u{size}")


def _encapsulated(
    frames: Sequence[bytes], layout: _Layout, syntax: str, known: re.Pattern[bytes]
) -> CleanPixels | None:
    kept, removed = [], 0
    for frame in frames:
        try:
            one = strip_frame(frame)
        except BrokenCodestream:
            raise Refused(Reason.TRUNCATED) from None
        if one.components != 1:
            raise Refused(Reason.COLOUR)
        if (one.rows, one.columns) != (layout.rows, layout.columns):
            raise Refused(Reason.WRONG_PIXEL_LENGTH)
        if one.precision > layout.stored or _PROSE.search(one.frame) or known.search(one.frame.lower()):
            return None
        removed += one.removed + (len(frame) - len(one.frame) > 1 and not one.removed)
        kept.append(one.frame)
    return CleanPixels(encapsulate(kept), "OB", syntax, tuple(kept), removed)


def _same(dataset: Dataset, kept: CleanPixels, layout: _Layout, decoded: np.ndarray) -> bool:
    """Whether frames that lost segments still decode to the same samples; only then may they be released."""
    try:
        return np.array_equal(_decoded(dataset, frames_of(kept.value, layout.frames), layout), decoded)
    except Refused:
        return False


def _decoded(dataset: Dataset, frames: Sequence[bytes], layout: _Layout) -> np.ndarray:
    """Samples of compressed frames. A stream that no decoder of this installation reads is not released."""
    plain = Dataset()
    plain.Rows, plain.Columns, plain.NumberOfFrames = layout.rows, layout.columns, layout.frames
    plain.BitsAllocated, plain.BitsStored, plain.HighBit = layout.allocated, layout.stored, layout.high
    plain.PixelRepresentation, plain.SamplesPerPixel = int(layout.signed), 1
    plain.PhotometricInterpretation = str(dataset.PhotometricInterpretation).strip(" \x00")
    plain.file_meta = FileMetaDataset()
    plain.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    plain.add_new(0x7FE00010, "OB", encapsulate(list(frames)))
    plain["PixelData"].is_undefined_length = True
    try:
        array = pixel_array(plain, raw=True)
    except Exception:
        # Decoders of three libraries raise whatever they like; every failure means the same here.
        raise Refused(_why(frames[0])) from None
    if array.size * layout.allocated // 8 != layout.length:
        raise Refused(Reason.WRONG_PIXEL_LENGTH)
    return (
        np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).view(f"<u{layout.allocated // 8}")
    )


def _why(frame: bytes) -> Reason:
    """A sound 12-bit lossy JPEG frame has no decoder here; anything else that does not decode is broken."""
    if frame[:4] == b"\x00\x00\x00\x00" or not frame:
        return Reason.UNREADABLE
    try:
        one = strip_frame(frame)
    except BrokenCodestream:
        return Reason.TRUNCATED
    lossy = frame[:2] == b"\xff\xd8" and b"\xff\xc1" in one.frame and one.precision == 12
    return Reason.UNSUPPORTED_SYNTAX if lossy else Reason.UNREADABLE
