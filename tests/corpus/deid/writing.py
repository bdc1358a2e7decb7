"""An unprincipled DICOM writer: raw elements go out as they are, whatever they claim to be.

A well-behaved writer refuses or repairs the objects that hospitals and adversaries send.
"""

from __future__ import annotations

import struct
import zlib

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.uid import UID

from tests.corpus.deid.compressed import SYNTAXES

_LONG = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])


def part10(ds: Dataset, syntax: str, *, meta: dict[str, object], preamble: bytes, tail: bytes) -> bytes:
    """The file, with more in its meta information, preamble and end than belongs there."""
    head = FileMetaDataset()
    head.MediaStorageSOPClassUID, head.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    head.TransferSyntaxUID, head.ImplementationClassUID = UID(SYNTAXES[syntax]), UID("1.2.3.4")
    for keyword, value in meta.items():
        setattr(head, keyword, value)
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, head, enforce_standard=True)
    body = _elements(ds, implicit=syntax == "implicit", little=syntax != "big")
    if syntax == "deflated":
        squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body, tail = squeeze.compress(body) + squeeze.flush(), b""
    return preamble.ljust(128, b"\x00")[:128] + b"DICM" + buffer.getvalue() + body + tail


def _elements(ds: Dataset, *, implicit: bool, little: bool) -> bytes:
    out = []
    for tag in sorted(ds.keys()):
        element = ds.get_item(tag)
        if isinstance(element, RawDataElement):
            vr, value = str(element.VR), element.value or b""
        elif element.VR == "SQ":
            items = [_elements(item, implicit=implicit, little=little) for item in element.value]
            vr, value = "SQ", b"".join(_tag(0xFFFEE000, little) + _size(len(i), little) + i for i in items)
        else:
            out.append(_principled(element, ds, implicit, little))
            continue
        out.append(_header(int(tag), vr, len(value), implicit, little) + value)
    return b"".join(out)


def _principled(element: DataElement, ds: Dataset, implicit: bool, little: bool) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = little, implicit
    write_data_element(buffer, element, ["iso8859", "utf-8"])
    return buffer.getvalue()


def _header(tag: int, vr: str, length: int, implicit: bool, little: bool) -> bytes:
    if implicit:
        return _tag(tag, little) + _size(length, little)
    if vr in _LONG:
        return _tag(tag, little) + vr.encode() + b"\x00\x00" + _size(length, little)
    return _tag(tag, little) + vr.encode() + struct.pack("<H" if little else ">H", length)


def _tag(tag: int, little: bool) -> bytes:
    return struct.pack("<HH" if little else ">HH", tag >> 16, tag & 0xFFFF)


def _size(length: int, little: bool) -> bytes:
    return struct.pack("<I" if little else ">I", length)
