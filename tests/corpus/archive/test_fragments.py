"""Compressed pixel data in every syntax in use: what the codestream says must be what the header says."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    HTJ2K,
    UID,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive.instance import examine

SETTINGS = ArchiveSettings()
PIXELS = np.random.default_rng(0).integers(0, 4096, (16, 16), np.uint16)


def compressed(dataset, encode, syntax, fragments, **changes):
    ds = dataset(PixelData=encapsulate(fragments), **changes)
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    return encode(ds, UID(syntax))


def stream_of(syntax: str) -> bytes:
    """A real codestream of ``PIXELS`` from an encoder that is not ours."""
    imagecodecs = pytest.importorskip(
        "imagecodecs", reason="the codecs package of the dev extra is not installed"
    )
    if syntax == JPEGLosslessSV1:
        return imagecodecs.ljpeg_encode(PIXELS, bitspersample=12)
    if syntax == JPEGLSLossless:
        return imagecodecs.jpegls_encode(PIXELS)
    if syntax == JPEG2000Lossless:
        return imagecodecs.jpeg2k_encode(PIXELS, codecformat="j2k", reversible=True)
    return imagecodecs.htj2k_encode(PIXELS, reversible=True)


def rle(rows: int = 16, columns: int = 16) -> bytes:
    runs = b"\x81\1" * (rows * columns // 128)
    return struct.pack("<16L", 2, 64, 64 + len(runs), *[0] * 13) + runs * 2


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2K, RLELossless])
def test_a_codestream_must_have_the_size_that_the_header_claims(put, dataset, encode, syntax):
    stream = rle() if syntax == RLELossless else stream_of(syntax)
    stream += b"\0" * (len(stream) % 2)

    def reason(fragments, **changes):
        return examine(put("x", compressed(dataset, encode, syntax, fragments, **changes)), SETTINGS).reason

    assert reason([stream]) is None
    assert reason([stream, stream], NumberOfFrames=2) is None
    assert reason([stream], NumberOfFrames=2) == "wrong_pixel_length"
    assert reason([stream, stream]) == "wrong_pixel_length"
    assert reason([b"\0" * 64]) in ("codestream_mismatch", "wrong_pixel_length")
    other = {"codestream_mismatch", "wrong_pixel_length"}
    assert reason([stream], Rows=400, Columns=300) in other
    assert (
        reason([stream], SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0) in other
    )
    if syntax != RLELossless:  # one frame may lie in several fragments of these, never of RLE
        assert reason([stream[:40], stream[40:]]) is None
        assert reason([stream], Rows=17) == "codestream_mismatch"
    else:
        assert reason([stream[:40], stream[40:]]) == "wrong_pixel_length"


def test_an_extended_offset_table_changes_nothing(put, dataset, encode):
    value, table, lengths = encapsulate_extended([rle(), rle()])
    ds = dataset(
        PixelData=value, NumberOfFrames=2, ExtendedOffsetTable=table, ExtendedOffsetTableLengths=lengths
    )
    ds["PixelData"].is_undefined_length = True
    assert examine(put("x", encode(ds, RLELossless)), SETTINGS).reason is None


def test_fragments_cut_off_are_truncated(put, dataset, encode):
    whole = compressed(dataset, encode, RLELossless, [rle(), rle()], NumberOfFrames=2)
    for missing in (1, 7, 8, 9, 100):
        assert examine(put("x", whole[:-missing]), SETTINGS).reason == "truncated"


def test_a_segment_that_could_never_fill_the_frame_is_refused(put, dataset, encode):
    short = struct.pack("<16L", 2, 64, 66, *[0] * 13) + b"\x81\1\x81\1"
    assert examine(put("x", compressed(dataset, encode, RLELossless, [short])), SETTINGS).reason == (
        "wrong_pixel_length"
    )
