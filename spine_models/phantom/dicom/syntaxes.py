"""Transfer syntaxes: a data set with native pixels into the encoding that a series is stored in.

Belongs here: rates per maker and lossless encoding of frames. Does not belong here: headers, lossy compression.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_encoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)

RATES: Final[dict[UID, float]] = {
    ExplicitVRLittleEndian: 0.58,
    ImplicitVRLittleEndian: 0.14,
    JPEGLosslessSV1: 0.06,
    JPEG2000Lossless: 0.05,
    JPEGLSLossless: 0.05,
    RLELossless: 0.05,
    DeflatedExplicitVRLittleEndian: 0.04,
    ExplicitVRBigEndian: 0.03,
}
"""Shares of series; Philips stores implicit where others store explicit little endian."""

_BY_PYDICOM: Final = (JPEG2000Lossless, JPEGLSLossless, RLELossless)


def draw_syntax(vendor: str, rng: np.random.Generator) -> UID:
    """A series' transfer syntax."""
    syntax = list(RATES)[int(rng.choice(len(RATES), p=list(RATES.values())))]
    if vendor == "Philips" and syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        swapped = {
            ExplicitVRLittleEndian: ImplicitVRLittleEndian,
            ImplicitVRLittleEndian: ExplicitVRLittleEndian,
        }
        return swapped[syntax]
    return syntax


def set_pixels(ds: Dataset, frames: Sequence[np.ndarray], syntax: UID) -> None:
    """Put pixel data into a data set, encoded as its file will say.

    Args:
        ds: with Rows, Columns and the attributes of bits; one frame or NumberOfFrames of them.
        frames: uint16 [rows, columns] each, within BitsStored; JPEG 2000 needs 32 pixels a side at least.
        syntax: one of `RATES`.

    Raises:
        ValueError: a transfer syntax that is not among them.
    """
    if syntax not in RATES:
        raise ValueError("pixels cannot be stored in this transfer syntax: choose one of the RATES")
    if syntax in (
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
    ):
        order = ">u2" if syntax == ExplicitVRBigEndian else "<u2"
        ds.PixelData = b"".join(frame.astype(order).tobytes() for frame in frames)
        ds["PixelData"].VR = "OW"
        return
    stored = int(ds.BitsStored)
    encode = _encoded_by_pydicom if syntax in _BY_PYDICOM else _encoded_by_gdcm
    ds.PixelData = encapsulate([encode(frame, stored, syntax) for frame in frames])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True


def _encoded_by_pydicom(frame: np.ndarray, stored: int, syntax: UID) -> bytes:
    plugin = {JPEG2000Lossless: "pylibjpeg", JPEGLSLossless: "pyjpegls", RLELossless: "gdcm"}[syntax]
    return get_encoder(syntax).encode(
        np.ascontiguousarray(frame),
        encoding_plugin=plugin,
        rows=frame.shape[0],
        columns=frame.shape[1],
        samples_per_pixel=1,
        number_of_frames=1,
        bits_allocated=16,
        # RLE splits samples as they are allocated; told of fewer bits, the encoder would narrow them first.
        bits_stored=16 if syntax == RLELossless else stored,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
    )


def _encoded_by_gdcm(frame: np.ndarray, stored: int, syntax: UID) -> bytes:
    """One frame as lossless JPEG; GDCM works on files, so a small one goes through it and only its frame returns."""
    import gdcm

    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, "1.2.3"
    ds.Rows, ds.Columns = frame.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, stored, stored - 1
    ds.PixelData = frame.astype("<u2").tobytes()
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before", Path(folder) / "after"
        ds.save_as(before, enforce_file_format=True)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(before))
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        if not reader.Read():
            raise RuntimeError("GDCM could not read the frame that was to be compressed")
        change.SetInput(reader.GetImage())
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(after))
        writer.SetFile(reader.GetFile())
        if not change.Change():
            raise RuntimeError("GDCM could not compress a frame as lossless JPEG")
        writer.SetImage(change.GetOutput())
        if not writer.Write():
            raise RuntimeError("GDCM could not write the frame that it compressed")
        import pydicom

        return next(generate_frames(pydicom.dcmread(after).PixelData, number_of_frames=1))
