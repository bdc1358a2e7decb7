"""Why an original stays in the restricted zone: reason codes, and the header rules that decide them.

Belongs here: every check that keeps a file back before or after its pixels are read. In doubt a file stays.
Does not belong here: rejecting what is not readable DICOM at all (archive).
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final

from pydicom.dataset import Dataset

MR: Final = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR: Final = "1.2.840.10008.5.1.4.1.1.4.1"
SOP_CLASSES: Final = {MR: "MR", ENHANCED_MR: "Enhanced MR"}
NATIVE: Final = frozenset(
    {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"}
)
"""Implicit, explicit, big-endian and deflated; released as explicit little endian."""
ENCAPSULATED: Final = frozenset(
    {
        "1.2.840.10008.1.2.5",
        *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 53, 55, 57, 70, 80, 81, 90, 91)),
        *(f"1.2.840.10008.1.2.4.20{n}" for n in (1, 2, 3)),
    }
)
"""RLE, JPEG, JPEG-LS, JPEG 2000, HTJ2K; kept as they are, without comment segments."""
_SCREEN: Final = ("SCREEN", "SNAPSHOT", "CAPTURE", "REPORT", "DOSE", "WORKSHEET", "GSPS")
_SCREEN_TITLE: Final = re.compile(r"SCREEN ?-?_?(?:SAVE|SHOT|CAPTURE|GRAB|DUMP)|SECONDARY CAPTURE|SNAPSHOT")
WATCHED: Final = frozenset({0x00280301, 0x00280302, 0x00089007, 0x00080008})
"""Attributes that hold an object back wherever they stand, functional groups included."""


class Reason(StrEnum):
    """Why a file, report or EHR row was quarantined."""

    NOT_MR = "not_mr"
    SECONDARY_CAPTURE = "secondary_capture"
    SCREEN_SAVE = "screen_save"
    BURNED_IN = "burned_in"
    RECOGNIZABLE_FEATURES = "recognizable_features"
    DERIVED_8BIT = "derived_8bit"
    COLOUR = "colour"
    ENCAPSULATED = "encapsulated"
    DICOMDIR = "dicomdir"
    MISSING_META = "missing_meta"
    TRUNCATED = "truncated"
    NO_PIXELS = "no_pixels"
    WRONG_PIXEL_LENGTH = "wrong_pixel_length"
    UNSUPPORTED_SYNTAX = "unsupported_syntax"
    UNRESOLVED_PATIENT = "unresolved_patient"
    CONFLICTING_PATIENT = "conflicting_patient"
    STUDY_NOT_RELEASED = "study_not_released"
    CONTENT_CHANGED = "content_changed"
    UNREADABLE = "unreadable"
    NO_POLICY = "no_policy"
    AMBIGUOUS_DATE = "ambiguous_date"


_SAYS_NO: Final = {0x00280301: Reason.BURNED_IN, 0x00280302: Reason.RECOGNIZABLE_FEATURES}


class Refused(ValueError):
    """A file that must stay in the restricted zone; carries its reason and no value."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _words(dataset: Dataset, keyword: str) -> list[str]:
    try:
        value = dataset.get(keyword)
    except (ValueError, TypeError, NotImplementedError, KeyError):
        raise Refused(Reason.UNREADABLE) from None
    if value is None:
        return []
    many = not isinstance(value, str | bytes) and hasattr(value, "__iter__")
    return [str(v).strip().upper() for v in (value if many else [value])]


def check_header(dataset: Dataset) -> None:
    """Decide by the header alone whether the object may be released.

    Args:
        dataset: as read, with its file meta.

    Raises:
        Refused: with the first reason that applies.
    """
    meta = getattr(dataset, "file_meta", None)
    sop_class = _one(dataset, "SOPClassUID")
    stored = str(meta.get("MediaStorageSOPClassUID", "") or "") if meta else ""
    if stored == "1.2.840.10008.1.3.10" or "DirectoryRecordSequence" in dataset:
        raise Refused(Reason.DICOMDIR)
    if not meta or not meta.get("TransferSyntaxUID") or not sop_class:
        raise Refused(Reason.MISSING_META)
    if not all(_one(dataset, k) for k in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")):
        raise Refused(Reason.MISSING_META)
    if "EncapsulatedDocument" in dataset or sop_class.startswith("1.2.840.10008.5.1.4.1.1.104"):
        raise Refused(Reason.ENCAPSULATED)
    if sop_class.startswith("1.2.840.10008.5.1.4.1.1.7") or "ConversionType" in dataset:
        raise Refused(Reason.SECONDARY_CAPTURE)
    if sop_class not in SOP_CLASSES or _one(dataset, "Modality") != "MR" or stored not in ("", sop_class):
        raise Refused(Reason.NOT_MR)
    _check_appearance(dataset)
    if str(meta.TransferSyntaxUID) not in NATIVE | ENCAPSULATED:
        raise Refused(Reason.UNSUPPORTED_SYNTAX)
    if not _one(dataset, "PatientID"):
        raise Refused(Reason.UNRESOLVED_PATIENT)


def check_nested(tag: int, value: object) -> None:
    """The same question to an element of an item: a frame may say what its object does not.

    Args:
        tag: one of ``WATCHED``.
        value: bytes as read, or a value.

    Raises:
        Refused: with the reason that applies.
    """
    if isinstance(value, bytes | bytearray):
        reason = _said(tag, bytes(value).decode("latin-1"))
    elif isinstance(value, str) or not hasattr(value, "__iter__"):
        reason = _said(tag, str(value or ""))
    else:
        reason = _said(tag, "\\".join(str(v) for v in value))
    if reason:
        raise Refused(reason)


@lru_cache(maxsize=1024)
def _said(tag: int, text: str) -> Reason | None:
    words = [word.strip(" \x00").upper() for word in text.split("\\")]
    if tag in _SAYS_NO:
        return _SAYS_NO[tag] if any(word not in ("", "NO") for word in words) else None
    return Reason.SCREEN_SAVE if any(screen in word for word in words for screen in _SCREEN) else None


def _check_claims(dataset: Dataset, image_type: list[str]) -> None:
    if any(word in part for part in image_type for word in _SCREEN):
        raise Refused(Reason.SCREEN_SAVE)
    if any(v != "NO" for v in _words(dataset, "BurnedInAnnotation") if v):
        raise Refused(Reason.BURNED_IN)
    if any(v != "NO" for v in _words(dataset, "RecognizableVisualFeatures") if v):
        raise Refused(Reason.RECOGNIZABLE_FEATURES)


def _check_appearance(dataset: Dataset) -> None:
    image_type = _words(dataset, "ImageType")
    _check_claims(dataset, image_type)
    titles = [t for k in ("SeriesDescription", "ProtocolName") for t in _words(dataset, k)]
    if _SCREEN_TITLE.search(" ".join([*image_type, *titles])):
        raise Refused(Reason.SCREEN_SAVE)
    if _one(dataset, "SamplesPerPixel") not in ("", "1") or (
        _one(dataset, "PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2")
    ):
        raise Refused(Reason.COLOUR)
    derived = not image_type or image_type[0] != "ORIGINAL" or "SECONDARY" in image_type[1:2]
    if derived and "8" in (_one(dataset, "BitsAllocated"), _one(dataset, "BitsStored")):
        raise Refused(Reason.DERIVED_8BIT)


def _one(dataset: Dataset, keyword: str) -> str:
    values = _words(dataset, keyword)
    return values[0].strip("\x00 ") if values else ""
