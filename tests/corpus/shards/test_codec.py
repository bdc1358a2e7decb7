from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from spine_models.corpus.shards import Quantum, apply_window, preprocess
from spine_models.corpus.shards.codec import FORMAT, CodecError, decode, encode
from spine_models.corpus.shards.preprocess import series_quantum

QUANTUM, WINDOW = Quantum(-3.0, 0.25), (0.0, 900.0)


def images():
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(112), np.arange(112))
    yield "noise of 16 bits", rng.integers(0, 65536, (112, 112))
    yield "smooth with noise", ramp * 20 + rng.integers(0, 40, ramp.shape)
    yield "empty", np.zeros((224, 224))
    yield "full", np.full((17, 33), 65535)
    yield "one pixel", np.array([[7]])
    yield "checkerboard of extremes", (np.indices((64, 64)).sum(0) % 2) * 65535


@pytest.mark.parametrize(("name", "image"), list(images()))
def test_every_pixel_comes_back(name, image):
    stored = image.astype(np.uint16)
    content = encode(stored, QUANTUM, WINDOW)
    held = decode(content)
    np.testing.assert_array_equal(held.stored, stored)
    assert (held.quantum, held.window) == (QUANTUM, WINDOW)
    assert content == encode(stored.copy(), QUANTUM, WINDOW)


def test_tissue_is_stored_in_fewer_bytes_than_png():
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:224, :224]
    tissue = 2000 * np.exp(-((rows - 110) ** 2 + (columns - 90) ** 2) / 6000) + rng.normal(0, 40, rows.shape)
    stored = np.clip(tissue + 500, 0, 65535).astype(np.uint16)
    png = io.BytesIO()
    Image.fromarray(stored).save(png, "PNG")
    assert len(encode(stored, QUANTUM, WINDOW)) < 0.95 * len(png.getvalue())


def test_format_1_is_still_read():
    stored = np.random.default_rng(2).integers(0, 65536, (32, 32)).astype(np.uint16)
    png = io.BytesIO()
    Image.fromarray(stored).save(png, "PNG")
    held = decode(png.getvalue(), "png")
    np.testing.assert_array_equal(held.windowed(), stored)
    with pytest.raises(CodecError, match="write the shards of its batch again"):
        held.intensities()


def test_what_is_no_slice_is_named():
    content = encode(np.zeros((20, 20), np.uint16), QUANTUM, WINDOW)
    noisy = encode(np.random.default_rng(0).integers(0, 999, (20, 20)).astype(np.uint16), QUANTUM, WINDOW)
    newer = content[:4] + struct.pack("<H", FORMAT + 1) + content[6:]
    for broken, message in (
        (b"", "header is missing"),
        (b"x" * 200, "header is missing"),
        (newer, f"format {FORMAT + 1} is newer"),
        (noisy[:-9], "have changed"),
        (noisy[:60] + bytes(40) + noisy[100:], "have changed"),
        (noisy[:-1] + bytes([noisy[-1] ^ 1]), "have changed"),
        (noisy[:6] + struct.pack("<HH", 21, 21) + noisy[10:], "cannot be decoded"),
    ):
        with pytest.raises(CodecError, match=message):
            decode(broken)
    with pytest.raises(CodecError, match="suffix 'jxl'"):
        decode(content, "jxl")
    with pytest.raises(CodecError, match="cannot be decoded"):
        decode(content, "png")
    with pytest.raises(CodecError, match="uint16 of two dimensions"):
        encode(np.zeros((3, 3, 3), np.uint16), QUANTUM, WINDOW)


@pytest.mark.parametrize(
    ("dtype", "slope", "intercept"),
    [
        (np.uint16, 1.0, 0.0),
        (np.int16, 1.0, -1024.0),
        (np.uint16, 2.38510378510378, 11.5),
        (np.uint8, 1.0, 0.0),
    ],
)
def test_pixels_that_are_not_resampled_come_back_exactly_however_narrow_the_window(dtype, slope, intercept):
    """Full dynamic range: the window is a view, never applied to what is stored."""
    bounds = np.iinfo(dtype)
    source = (
        np.random.default_rng(3)
        .integers(max(bounds.min, -2000), min(bounds.max, 4095), (48, 48))
        .astype(dtype)
    )
    intensities = (source.astype(np.float64) * slope + intercept).astype(np.float32)
    values = np.unique(source).astype(np.float64) * slope + intercept
    quantum = series_quantum([(values, np.ones_like(values), np.ones_like(values))], slope)
    narrow = (float(values[len(values) // 2]), float(values[len(values) // 2 + 3]))
    result = preprocess(intensities, narrow, 48, quantum=quantum)
    assert result.clipped_fraction > 0.5
    held = decode(encode(result.stored, quantum, narrow))
    back = np.rint((held.intensities().astype(np.float64) - intercept) / slope).astype(dtype)
    np.testing.assert_array_equal(back, source)
    np.testing.assert_array_equal(held.windowed(), result.array)


def test_a_range_of_16_bits_keeps_every_value():
    source = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    values = np.arange(65536, dtype=np.float64)
    quantum = series_quantum([(values, values + 1, values + 1)], 1.0)
    result = preprocess(source.astype(np.float32), (100.0, 200.0), 256, quantum=quantum)
    np.testing.assert_array_equal(result.stored, source)


def test_rounding_adds_little_to_resampled_pixels():
    rng = np.random.default_rng(4)
    source = rng.integers(0, 1500, (160, 160)).astype(np.float32)
    fine = preprocess(source, (0.0, 1500.0), 112, quantum=Quantum(0.0, 1 / 40))
    ours = preprocess(source, (0.0, 1500.0), 112, quantum=Quantum.spanning(0.0, 1499.0, 1.0))
    error = ours.stored * 0.25 - fine.stored / 40
    assert np.abs(error).max() <= 0.14
    assert error.var() < 1.1 * 0.25**2 / 12 + (1 / 40) ** 2 / 12


def test_the_window_is_applied_when_a_slice_is_read():
    stored = np.array([[0, 100, 200, 300, 65535]], np.uint16)
    shown = apply_window(stored, Quantum(0.0, 1.0), (100.0, 300.0))
    np.testing.assert_allclose(shown, [[0, 0, 32767.5, 65535, 65535]], atol=0.5)
    inverted = apply_window(stored, Quantum(0.0, 1.0), (300.0, 100.0))
    np.testing.assert_allclose(inverted, [[65535, 65535, 32767.5, 0, 0]], atol=0.5)
