"""Acquisition facts of one MR instance: what the sequence classifier, shards and tables know of a header.

Belongs here: reading standard attributes of classic and enhanced MR into one flat, typed row, with units.
Does not belong here: identifiers, pixel data, or a judgement of what the sequence is.
"""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import polars as pl
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag, Tag

from spine_models.corpus.raw_header import RawHeader

ACQUISITION = pl.Schema(
    {
        "series_number": pl.Int32,
        "instance_number": pl.Int32,
        "frames": pl.Int32,
        "rows": pl.Int32,
        "columns": pl.Int32,
        "bits_stored": pl.Int32,
        "photometric": pl.String,
        "vendor": pl.String,  # Siemens | Philips | GE | Canon | Hitachi | Hyperfine | UIH | other; null when absent
        "scanner_model": pl.String,
        "field_strength_t": pl.Float64,
        "coil": pl.String,
        "body_part": pl.String,
        "tr_ms": pl.Float64,
        "te_ms": pl.Float64,
        "ti_ms": pl.Float64,
        "flip_deg": pl.Float64,
        "echo_train_length": pl.Int32,
        "b_value": pl.Float64,
        "scanning_sequence": pl.String,  # multi-values joined by a backslash, as in DICOM
        "sequence_variant": pl.String,
        "scan_options": pl.String,
        "sequence_name": pl.String,
        "image_type": pl.String,
        "acquisition_type": pl.String,  # 2D | 3D
        "has_contrast_agent": pl.Boolean,
        "iop": pl.List(pl.Float64),  # 6 direction cosines, patient LPS; null when absent
        "ipp_mm": pl.List(pl.Float64),  # 3, patient LPS, centre of the first voxel of the first frame
        "pixel_spacing_mm": pl.List(pl.Float64),  # [between rows, between columns]
        "slice_thickness_mm": pl.Float64,
        "spacing_between_mm": pl.Float64,
    }
)

MOSAIC = pl.Schema(
    {
        "mosaic_tiles": pl.Int32,  # slices on the sheet of a mosaic; null for every other image
        "mosaic_order": pl.Int8,  # 1: tiles follow each other along the normal of iop, -1: against it; null: not said
    }
)
"""What a mosaic says of itself in private elements, and so has to be read before those are removed."""

Header = Dataset | RawHeader
"""A header that has been parsed, or one that still lies in its bytes."""

_SHARED: Final = 0x52009229
_PER_FRAME: Final = 0x52009230
_INT32_MAX: Final = 2**31 - 1
_TEXT_LIMIT: Final = 1024
_VENDORS: Final[tuple[tuple[str, str], ...]] = (
    ("siemens", "Siemens"),
    ("philips", "Philips"),
    ("ge medical", "GE"),
    ("ge healthcare", "GE"),
    ("general electric", "GE"),
    ("canon", "Canon"),
    ("toshiba", "Canon"),
    ("hitachi", "Hitachi"),
    ("fujifilm", "Hitachi"),
    ("hyperfine", "Hyperfine"),
    ("uih", "UIH"),
    ("united imaging", "UIH"),
)
_ECHO_PULSE: Final[dict[str, tuple[str, ...]]] = {
    "SPIN": ("SE",),
    "GRADIENT": ("GR",),
    "BOTH": ("SE", "GR"),
}
# Private b-values: (group, creator, element, divisor whose remainder is the b-value or None).
# GE adds a flag of 10^9 to the first of four numbers.
_PRIVATE_B_VALUES: Final[tuple[tuple[int, str, int, int | None], ...]] = (
    (0x0019, "SIEMENS MR HEADER", 0x0C, None),
    (0x0043, "GEMS_PARM_01", 0x39, 100_000),
    (0x2001, "Philips Imaging DD 001", 0x03, None),
)


def acquisition_facts(ds: Header) -> dict[str, object]:
    """One row with exactly the columns of `ACQUISITION` from a classic or an enhanced MR header.

    Enhanced multi-frame objects (PS3.3 C.8.13) answer from the shared functional groups and those of the
    first frame, and their enumerations are written as the classic terms (``SPIN`` as ``SE``, fat suppression
    as scan option ``FS``). Never needs pixel data and never raises: what is absent or malformed is null.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # malformed values are expected here and become nulls
        places = list(_places(ds))
        ti = _number(places, "InversionTimes", "InversionTime")
        te = _number(places, "EffectiveEchoTime", "EchoTime")
        spacing = _vector(places, "PixelSpacing", 2)
        field = _number(places, "MagneticFieldStrength")
        frames = _integer(places, "NumberOfFrames") if "NumberOfFrames" in ds else 1
        return {
            "series_number": _integer(places, "SeriesNumber"),
            "instance_number": _integer(places, "InstanceNumber"),
            "frames": frames,
            "rows": _integer(places, "Rows"),
            "columns": _integer(places, "Columns"),
            "bits_stored": _integer(places, "BitsStored"),
            "photometric": _text(places, "PhotometricInterpretation"),
            "vendor": vendor_of(_text(places, "Manufacturer")),
            "scanner_model": _text(places, "ManufacturerModelName"),
            # Some scanners write gauss.
            "field_strength_t": field / 1e4 if field is not None and field > 100 else field,
            "coil": _text(places, "ReceiveCoilName"),
            "body_part": _text(places, "BodyPartExamined") or _anatomic_region(places),
            "tr_ms": _number(places, "RepetitionTime"),
            "te_ms": te,
            "ti_ms": ti if ti is not None and ti > 0 else None,
            "flip_deg": _number(places, "FlipAngle"),
            "echo_train_length": _integer(places, "EchoTrainLength", "RFEchoTrainLength"),
            "b_value": b_value_of(*places),
            "scanning_sequence": _text(places, "ScanningSequence") or _enhanced_scanning_sequence(places),
            "sequence_variant": _text(places, "SequenceVariant") or _enhanced_variant(places),
            "scan_options": _text(places, "ScanOptions") or _enhanced_options(places),
            "sequence_name": _text(places, "SequenceName", "PulseSequenceName"),
            "image_type": _text(places, "ImageType", "FrameType"),
            "acquisition_type": _text(places, "MRAcquisitionType"),
            "has_contrast_agent": _has_contrast_agent(places),
            "iop": _vector(places, "ImageOrientationPatient", 6),
            "ipp_mm": _vector(places, "ImagePositionPatient", 3),
            "pixel_spacing_mm": spacing if spacing is not None and min(spacing) > 0 else None,
            "slice_thickness_mm": _number(places, "SliceThickness"),
            "spacing_between_mm": _number(places, "SpacingBetweenSlices"),
        }


def vendor_of(manufacturer: str | None) -> str | None:
    """The vendor's short name, ``other`` for one not known, null for an absent one."""
    if not manufacturer:
        return None
    folded = manufacturer.casefold()
    for word, vendor in _VENDORS:
        if word in folded:
            return vendor
    return "GE" if folded.split()[0] == "ge" else "other"


def functional_group_items(ds: Header, frame: int = 0) -> Iterator[Dataset]:
    """Macro items that hold for one frame of an enhanced object: its own groups, then the shared ones."""
    for groups in (_per_frame_item(ds, frame), shared_item(ds)):
        for tag in (
            groups.keys() if groups is not None else ()
        ):  # iterating a data set itself converts every value
            if tag.is_private:
                continue
            macro = read_value(groups, tag)
            if isinstance(macro, DicomSequence) and len(macro):
                yield macro[0]


def frame_items(ds: Header) -> int:
    """Number of items of the per-frame functional groups; 0 for a classic object."""
    if isinstance(ds, RawHeader):
        return ds.items(_PER_FRAME)
    groups = read_value(ds, "PerFrameFunctionalGroupsSequence")
    return len(groups) if isinstance(groups, DicomSequence) else 0


def shared_item(ds: Header) -> Dataset | None:
    """The item of the shared functional groups; null for a classic object."""
    if isinstance(ds, RawHeader):
        return _raw_item(ds, _SHARED, 0) if ds.items(_SHARED) else None
    groups = read_value(ds, "SharedFunctionalGroupsSequence")
    return groups[0] if isinstance(groups, DicomSequence) and len(groups) else None


def _raw_item(ds: RawHeader, tag: int, index: int) -> Dataset | None:
    try:
        return ds.item(tag, index)
    except Exception:  # as in read_value
        return None


def _per_frame_item(ds: Header, frame: int) -> Dataset | None:
    if not 0 <= frame < frame_items(ds):
        return None
    if isinstance(ds, RawHeader):
        return _raw_item(ds, _PER_FRAME, frame)
    return read_value(ds, "PerFrameFunctionalGroupsSequence")[frame]


def read_value(ds: Header, keyword: Any) -> Any:
    """The element's value; null where it is absent or its bytes do not fit its value representation."""
    try:
        tag = _tag_of(keyword)
        if isinstance(ds, RawHeader):
            return ds.value(tag)
        return ds[tag].value if tag in ds else None
    except Exception:  # pydicom raises many kinds on hostile bytes; all of them mean "no value"
        return None


def private_value(ds: Header, group: int, creator: str, element: int) -> Any:
    """Value of a private element by its creator, in whichever block of the group that has been put; null without one.

    Args:
        ds: a header.
        group: odd group number.
        creator: exact name.
        element: number within the creator's block.
    """
    for block in range(0x10, 0x20):
        if _tag_of((group, block)) in ds and text_of(read_value(ds, (group, block))) == creator:
            return read_value(ds, (group, block << 8 | element))
    return None


@lru_cache(maxsize=1024)
def _tag_of(keyword: Any) -> BaseTag:
    return Tag(keyword)


def text_of(value: Any) -> str | None:
    """Text without padding, control characters and lone surrogates; multi-values joined by a backslash."""
    if value is None or isinstance(value, (bytes, DicomSequence)):
        return None
    if isinstance(value, str) and len(value) <= _TEXT_LIMIT and value.isprintable():
        return value.strip() or None
    parts = value if isinstance(value, (list, tuple, MultiValue)) else [value]
    joined = "\\".join(str(part) for part in parts)[:_TEXT_LIMIT]
    clean = "".join(c if c.isprintable() else " " for c in joined).strip()
    return clean or None


def numbers_of(value: Any) -> list[float] | None:
    """All values as finite floats; null when one of them is not."""
    if value is None or isinstance(value, (bytes, DicomSequence)):
        return None
    parts = value if isinstance(value, (list, tuple, MultiValue)) else [value]
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if numbers and all(math.isfinite(n) for n in numbers) else None


def b_value_of(*places: Header) -> float | None:
    """Diffusion b-value, s/mm^2, standard or private, of the first place that states one."""
    standard = _number(places, "DiffusionBValue")
    if standard is not None:
        return standard
    for group, creator, element, modulus in _PRIVATE_B_VALUES:
        for place in places:
            number = _private_number(place, group, creator, element)
            if number is not None and number >= 0:
                return number % modulus if modulus else number
    return None


def _places(ds: Header) -> Iterator[Header]:
    yield ds
    if "SharedFunctionalGroupsSequence" in ds or "PerFrameFunctionalGroupsSequence" in ds:
        yield from functional_group_items(ds)


def _values(places: Sequence[Header], keywords: tuple[str, ...]) -> Iterator[Any]:
    for keyword in keywords:
        for place in places:
            value = read_value(place, keyword)
            if value is not None:
                yield value


def _text(places: Sequence[Header], *keywords: str) -> str | None:
    return next((text for value in _values(places, keywords) if (text := text_of(value))), None)


def _number(places: Sequence[Header], *keywords: str) -> float | None:
    for value in _values(places, keywords):
        numbers = numbers_of(value)
        if numbers is not None and numbers[0] >= 0:
            return numbers[0]
    return None


def _integer(places: Sequence[Header], *keywords: str) -> int | None:
    number = _number(places, *keywords)
    return int(number) if number is not None and number <= _INT32_MAX else None


def _vector(places: Sequence[Header], keyword: str, size: int) -> list[float] | None:
    for value in _values(places, (keyword,)):
        numbers = numbers_of(value)
        if numbers is not None and len(numbers) == size:
            return numbers
    return None


def _anatomic_region(places: Sequence[Header]) -> str | None:
    for value in _values(places, ("AnatomicRegionSequence",)):
        if isinstance(value, DicomSequence) and len(value):
            return text_of(read_value(value[0], "CodeMeaning"))
    return None


def _has_contrast_agent(places: Sequence[Header]) -> bool:
    agent = _text(places, "ContrastBolusAgent")
    if agent is not None and agent.casefold() not in {"no", "none", "n", "0", "no contrast", "without"}:
        return True
    sequences = _values(places, ("ContrastBolusAgentSequence",))
    return any(isinstance(value, DicomSequence) and len(value) > 0 for value in sequences)


def _says(places: Sequence[Header], keyword: str, *terms: str) -> bool:
    return (_text(places, keyword) or "").upper() in terms


def _enhanced_scanning_sequence(places: Sequence[Header]) -> str | None:
    terms = list(_ECHO_PULSE.get((_text(places, "EchoPulseSequence") or "").upper(), ()))
    if terms and _says(places, "EchoPlanarPulseSequence", "YES"):
        terms.append("EP")
    if terms and _says(places, "InversionRecovery", "YES"):
        terms.append("IR")
    return "\\".join(terms) or None


def _enhanced_variant(places: Sequence[Header]) -> str | None:
    terms = []
    if (_text(places, "MagnetizationTransfer") or "NONE").upper() != "NONE":
        terms.append("MTC")
    if (_text(places, "SteadyStatePulseSequence") or "NONE").upper() != "NONE":
        terms.append("SS")
    if (_text(places, "Spoiling") or "NONE").upper() != "NONE":
        terms.append("SP")
    return "\\".join(terms) or None


def _enhanced_options(places: Sequence[Header]) -> str | None:
    if _says(places, "SpectrallySelectedSuppression", "FAT", "FAT_AND_WATER"):
        return "FS"
    return "WE" if _says(places, "SpectrallySelectedExcitation", "WATER") else None


def _private_number(ds: Header, group: int, creator: str, element: int) -> float | None:
    value = private_value(ds, group, creator, element)
    if isinstance(value, bytes):  # value representation UN: text of a number, or one binary float
        if len(value) == 4 and not value.strip(b" \0").replace(b".", b"").isdigit():
            return numbers_of(struct.unpack("<f", value)[0])[0] if _finite(value) else None
        value = value.decode("ascii", "replace").strip(" \0").split("\\")
    numbers = numbers_of(value)
    return numbers[0] if numbers else None


def _finite(value: bytes) -> bool:
    return math.isfinite(struct.unpack("<f", value)[0])
