"""Files that are no sound DICOM: cut, nested without end, claiming absurd sizes, contradicting themselves.

Belongs here: one function per way to be broken, from the bytes or the data set of a good image to the bytes of a bad
one. Does not belong here: sound objects (``strangers``), and what becomes of each (``hostile``).
"""

from __future__ import annotations

import copy
import io
import struct
import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

_DEPTH: Final = 400
_BOMB_BYTES: Final = 80 * 1024**2
"""Inflated size: beyond what the header of any image needs."""


def _bytes(ds: FileDataset) -> bytes:
    stream = io.BytesIO()
    dcmwrite(stream, ds, enforce_file_format=True)
    return stream.getvalue()


def _explicit(base: FileDataset, number: int) -> FileDataset:
    """A copy that stands alone as a series of its own, explicit little endian."""
    ds = copy.deepcopy(base)
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.set_original_encoding(False, True, ds.original_character_set)
    ds.SeriesInstanceUID = f"{ds.StudyInstanceUID}.8{number}"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SeriesInstanceUID}.1"
    return ds


def _spliced(ds: FileDataset, element: bytes) -> bytes:
    """The file with raw bytes of an element of group 0009 in its place."""
    whole = _bytes(ds)
    # Everything of group 0008 comes before; the first element of a later group is looked for by its parts.
    later = next(tag for tag in sorted(ds.keys(), key=int) if tag.group >= 0x0009)
    mark = struct.pack("<HH", later.group, later.element)
    at = whole.index(mark + str(ds[later].VR).encode())
    return whole[:at] + element + whole[at:]


def _half(base: FileDataset) -> bytes:
    whole = _bytes(_explicit(base, 1))
    return whole[: len(whole) // 2]


def _bulk_cut(base: FileDataset) -> bytes:
    return _bytes(_explicit(base, 2))[:-1000]


def _deep(base: FileDataset) -> bytes:
    head = struct.pack("<HH2sHL", 0x0009, 0x0010, b"SQ", 0, 0xFFFFFFFF)
    item, item_end = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF), struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    return _spliced(_explicit(base, 3), (head + item) * _DEPTH + (item_end + end) * _DEPTH)


def _endless(base: FileDataset) -> bytes:
    """A text of undefined length, which only sequences and bulk data may have, and no delimiter after it."""
    element = struct.pack("<HH2sHL", 0x0009, 0x0010, b"UT", 0, 0xFFFFFFFF) + b"on and on "
    return _spliced(_explicit(base, 4), element)


def _beyond(base: FileDataset) -> bytes:
    """An element that claims more bytes than the file has."""
    return _spliced(
        _explicit(base, 5), struct.pack("<HH2sHL", 0x0009, 0x1010, b"OB", 0, 0xFFFFFFF0) + b"\0" * 16
    )


def _claiming(number: int, **values: object) -> Callable[[FileDataset], bytes]:
    def made(base: FileDataset) -> bytes:
        ds = _explicit(base, number)
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        return _bytes(ds)

    return made


def _short_pixels(base: FileDataset) -> bytes:
    ds = _explicit(base, 9)
    ds.PixelData = ds.PixelData[: -2 * int(ds.Columns)]
    ds["PixelData"].VR = "OW"
    return _bytes(ds)


def _empty_pixels(base: FileDataset) -> bytes:
    ds = _explicit(base, 10)
    ds.PixelData = b""
    ds["PixelData"].VR = "OW"
    return _bytes(ds)


def _without(number: int, keyword: str) -> Callable[[FileDataset], bytes]:
    def made(base: FileDataset) -> bytes:
        ds = _explicit(base, number)
        del ds[keyword]
        return _bytes(ds)

    return made


def _no_meta(base: FileDataset) -> bytes:
    """Preamble and data set, nothing between them that says how it is encoded."""
    ds = _explicit(base, 13)
    whole = _bytes(ds)
    length = struct.unpack_from("<L", whole, 140)[0]
    return whole[:132] + whole[144 + length :]


def _unknown_syntax(base: FileDataset) -> bytes:
    whole = _bytes(_explicit(base, 14))
    known = b"1.2.840.10008.1.2.1\0"
    return whole.replace(known, b"1.2.840.99999.1.2.1\0", 1)


def _bomb(base: FileDataset) -> bytes:
    """A deflated object of some kilobytes that inflates to many megabytes."""
    ds = _explicit(base, 15)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = _bytes(ds)
    length = struct.unpack_from("<L", whole, 140)[0]
    deflater = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    head = struct.pack("<HH2sHL", 0x0008, 0x0001, b"OB", 0, _BOMB_BYTES)
    chunk = bytes(1024**2)
    parts = [deflater.compress(head), *(deflater.compress(chunk) for _ in range(_BOMB_BYTES // len(chunk)))]
    return b"".join([whole[: 144 + length], *parts, deflater.flush()])


def _directory(base: FileDataset) -> bytes:
    """The index of an export, which repeats names and numbers."""
    ds = _explicit(base, 16)
    found = Dataset()
    found.DirectoryRecordType, found.PatientID, found.PatientName = "PATIENT", ds.PatientID, ds.PatientName
    found.OffsetOfTheNextDirectoryRecord, found.RecordInUseFlag = 0, 0xFFFF
    found.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    index = FileDataset("", Dataset(), file_meta=ds.file_meta, preamble=b"\0" * 128, is_implicit_VR=False)
    index.SpecificCharacterSet = ds.get("SpecificCharacterSet", "ISO_IR 192")
    index.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    index.FileSetID = "EXPORT"
    index.DirectoryRecordSequence = Sequence([found])
    stream = io.BytesIO()
    dcmwrite(stream, index, enforce_file_format=True)
    return stream.getvalue()


def noise(rng: np.random.Generator) -> bytes:
    """Four kilobytes of nothing."""
    return rng.bytes(4096)


UNSOUND: Final[dict[str, Callable[[FileDataset], bytes]]] = {
    "cut.dcm": _half,
    "bulk_cut.dcm": _bulk_cut,
    "deep.dcm": _deep,
    "endless.dcm": _endless,
    "beyond.dcm": _beyond,
    "absurd_rows.dcm": _claiming(6, Rows=65535, Columns=65535),
    "absurd_frames.dcm": _claiming(7, NumberOfFrames=2_147_483_647),
    "no_rows.dcm": _claiming(8, Rows=0),
    "short_pixels.dcm": _short_pixels,
    "empty_pixels.dcm": _empty_pixels,
    "no_pixels.dcm": _without(11, "PixelData"),
    "no_uid.dcm": _without(12, "SeriesInstanceUID"),
    "no_meta.dcm": _no_meta,
    "unknown_syntax.dcm": _unknown_syntax,
    "bomb.dcm": _bomb,
    "DICOMDIR": _directory,
}
"""File names and what makes each of them from an MR image."""
