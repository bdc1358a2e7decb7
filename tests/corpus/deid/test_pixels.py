from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pydicom
import pytest

from spine_models.corpus.deid.codestream import BrokenCodestream, Stripped, strip_frame
from spine_models.corpus.deid.pixels import mask_samples
from spine_models.corpus.deid.quarantine import Reason, Refused
from tests.corpus.deid.objects import cleaned, mr


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    frame = bytes([11]) + struct.pack(">HH", 8, 8) + b"\x01\x01\x11\x00"
    body = b"".join(
        b"\xff" + bytes([m]) + struct.pack(">H", len(v) + 2) + v for m, v in (*segments, (0xC3, frame))
    )
    return (
        b"\xff\xd8" + body + b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00" + b"\x12\xff\x00\x34" + b"\xff\xd9"
    )


def test_jpeg_comments_and_application_segments_go():
    clean = jpeg()
    dirty = jpeg((0xFE, b"Wexbury"), (0xE1, b"Exif Wexbury"), (0xEE, b"Adobe")) + b"Wexbury"
    assert strip_frame(dirty) == Stripped(clean, 3, 11, 8, 8, 1)
    assert strip_frame(clean) == Stripped(clean, 0, 11, 8, 8, 1)


@pytest.mark.parametrize("frame", [b"", b"\xff\xd8", jpeg()[:-2], b"GIF89a", jpeg()[:12]])
def test_a_broken_codestream_is_said_to_be_broken(frame):
    with pytest.raises(BrokenCodestream):
        strip_frame(frame)


def test_bits_outside_the_stored_ones_are_cleared_and_signs_repeated():
    samples = np.array([0xF123, 0x0FFF, 0x0800], dtype="<u2")
    assert mask_samples(samples, 12, 11, False).tolist() == [0x123, 0xFFF, 0x800]
    assert mask_samples(samples, 12, 11, True).view("<i2").tolist() == [0x123, -1, -2048]
    assert mask_samples(samples, 12, 15, False).tolist() == [0xF120, 0x0FF0, 0x0800]
    assert mask_samples(samples.astype(">u2"), 16, 15, False).tolist() == samples.tolist()


def test_an_overlay_in_the_upper_bits_is_gone_and_the_image_is_the_same():
    image = np.arange(64, dtype="<u2")
    ds = mr(PixelData=(image | 0x8000).tobytes())
    ds["PixelData"].VR = "OW"
    out = pydicom.dcmread(BytesIO(cleaned(ds).payload))
    assert np.frombuffer(out.PixelData, "<u2").tolist() == image.tolist()


@pytest.mark.parametrize(
    ("length", "reason"), [(100, Reason.TRUNCATED), (132, Reason.WRONG_PIXEL_LENGTH), (0, Reason.TRUNCATED)]
)
def test_a_wrong_length_is_refused(length, reason):
    ds = mr(PixelData=bytes(length))
    ds["PixelData"].VR = "OW"
    with pytest.raises(Refused) as refused:
        cleaned(ds)
    assert refused.value.reason == reason
