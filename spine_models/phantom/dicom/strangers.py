"""Sound DICOM objects that must stay in the hospital: captures, documents, other modalities, colour, reports.

Belongs here: one function per kind, each making it from an MR image of the same patient.
Does not belong here: broken files (``unsound``), and what becomes of each (``hostile``).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

_PRIVATE_CLASS: Final = UID("1.3.12.2.1107.5.9.1")
_PDF: Final = b"%PDF-1.4\n1 0 obj\n(Letter to the patient's physician)\nendobj\n%%EOF\n"


def _new(base: FileDataset, number: int, sop_class: str) -> FileDataset:
    """A copy of an image as another object of a series of its own in the same study."""
    ds = copy.deepcopy(base)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.set_original_encoding(False, True, ds.original_character_set)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.SeriesInstanceUID = f"{ds.StudyInstanceUID}.9{number}"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SeriesInstanceUID}.1"
    ds.SeriesNumber = 900 + number
    return ds


def _written(base: FileDataset, size: int = 128) -> np.ndarray:
    """A page with the patient's name and number drawn on it, uint8 [size, 2 * size]."""
    page = Image.new("L", (2 * size, size), 20)
    # The built-in font draws Latin letters only; other scripts become question marks.
    name = str(base.PatientName).split("=")[0].encode("latin-1", "replace").decode("latin-1")
    ImageDraw.Draw(page).text((6, 6), f"{name}\n{base.PatientID}", fill=255, font=ImageFont.load_default(14))
    return np.asarray(page, np.uint8)


def _with_page(ds: FileDataset, page: np.ndarray, *, colour: bool = False) -> FileDataset:
    pixels = np.repeat(page[..., None], 3, axis=2) if colour else page
    ds.Rows, ds.Columns = page.shape
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = pixels.tobytes()
    ds["PixelData"].VR = "OB"
    return ds


def _without_image(ds: FileDataset) -> FileDataset:
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
                    "SamplesPerPixel", "PhotometricInterpretation"):  # fmt: skip
        if keyword in ds:
            del ds[keyword]
    return ds


def _capture(base: FileDataset) -> FileDataset:
    ds = _with_page(_new(base, 1, SecondaryCaptureImageStorage), _written(base))
    ds.Modality, ds.ConversionType, ds.BurnedInAnnotation = "OT", "WSD", "YES"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    return ds


def _screen_save(base: FileDataset) -> FileDataset:
    ds = _with_page(_new(base, 2, MRImageStorage), _written(base))
    ds.ImageType = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    return ds


def _colour(base: FileDataset) -> FileDataset:
    ds = _with_page(_new(base, 3, MRImageStorage), _written(base), colour=True)
    ds.ImageType, ds.SeriesDescription = ["DERIVED", "PRIMARY", "DIFFUSION", "FA"], "ep2d_diff_ColFA"
    return ds


def _derived_8bit(base: FileDataset) -> FileDataset:
    ds = _with_page(_new(base, 4, MRImageStorage), _written(base))
    ds.ImageType, ds.SeriesDescription = ["DERIVED", "SECONDARY", "OTHER"], "Key images"
    return ds


def _burned_in(base: FileDataset) -> FileDataset:
    ds = _new(base, 5, MRImageStorage)
    ds.BurnedInAnnotation = "YES"
    return ds


def _ct(base: FileDataset) -> FileDataset:
    ds = _new(base, 6, CTImageStorage)
    ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.KVP, ds.RescaleIntercept, ds.RescaleSlope = "120", "-1024", "1"
    return ds


def _letter(base: FileDataset) -> FileDataset:
    ds = _without_image(_new(base, 7, EncapsulatedPDFStorage))
    ds.Modality, ds.MIMETypeOfEncapsulatedDocument = "DOC", "application/pdf"
    ds.EncapsulatedDocument = _PDF + b"\0" * (len(_PDF) % 2)
    return ds


def _structured_report(base: FileDataset) -> FileDataset:
    ds = _without_image(_new(base, 8, BasicTextSRStorage))
    ds.Modality, ds.ValueType, ds.CompletionFlag, ds.VerificationFlag = (
        "SR",
        "CONTAINER",
        "COMPLETE",
        "VERIFIED",
    )
    ds.ContinuityOfContent = "SEPARATE"
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
    item.TextValue = f"{base.PatientID}: disc herniation, see letter"
    ds.ContentSequence = Sequence([item])
    return ds


def _referring(number: int, other: int) -> Callable[[FileDataset], FileDataset]:
    """Two presentation states that refer to each other, and each to itself: a reader that follows never ends."""

    def made(base: FileDataset) -> FileDataset:
        ds = _without_image(_new(base, number, GrayscaleSoftcopyPresentationStateStorage))
        ds.Modality, ds.ContentLabel = "PR", "LOOP"
        series = []
        for target in (number, other):
            item, image = Dataset(), Dataset()
            image.ReferencedSOPClassUID = GrayscaleSoftcopyPresentationStateStorage
            image.ReferencedSOPInstanceUID = f"{ds.StudyInstanceUID}.9{target}.1"
            item.SeriesInstanceUID = f"{ds.StudyInstanceUID}.9{target}"
            item.ReferencedImageSequence = Sequence([image])
            series.append(item)
        ds.ReferencedSeriesSequence = Sequence(series)
        return ds

    return made


def _private_class(base: FileDataset) -> FileDataset:
    ds = _without_image(_new(base, 11, _PRIVATE_CLASS))
    block = ds.private_block(0x0029, "SIEMENS CSA NON-IMAGE", create=True)
    block.add_new(0x10, "OB", b"SV10\x04\x03\x02\x01" + str(base.PatientName).encode()[:40].ljust(40, b"\0"))
    return ds


STRANGERS: Final[dict[str, Callable[[FileDataset], FileDataset]]] = {
    "capture.dcm": _capture,
    "screen_save.dcm": _screen_save,
    "colour.dcm": _colour,
    "derived_8bit.dcm": _derived_8bit,
    "burned_in.dcm": _burned_in,
    "ct.dcm": _ct,
    "letter.dcm": _letter,
    "report.dcm": _structured_report,
    "loop_a.dcm": _referring(9, 10),
    "loop_b.dcm": _referring(10, 9),
    "private_class.dcm": _private_class,
}
"""File names and what makes each of them from an MR image."""
