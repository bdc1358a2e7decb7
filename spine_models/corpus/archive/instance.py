"""One DICOM file: is it DICOM, whose is it, is it sound, and what does its header say.

Belongs here: reading one file with bounded memory and turning every failure into a reason code.
Does not belong here: decoding pixels (never done in this stage), or comparing files with each other.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydicom.uid import UID

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive.fragments import Claim, fault_of
from spine_models.corpus.archive.reasons import Reason
from spine_models.corpus.archive.structure import Layout, Meta, StructureWalk, find_meta, read_meta
from spine_models.corpus.frames import FrameFacts, frame_facts, mosaic_geometry, mosaic_order, tile_shape
from spine_models.corpus.geometry import MAX_FRAMES, FrameGeometry, is_mosaic, mosaic_tiles
from spine_models.corpus.header import acquisition_facts, frame_items, numbers_of, read_value, text_of
from spine_models.corpus.raw_header import RawHeader

MAX_HEADER_BYTES: Final = 64 * 1024**2
"""Everything before the pixel element, and a whole inflated object; more is rejected as too large."""

_IN_MEMORY_BYTES: Final = 64 * 1024**2
_CHUNK: Final = 1024**2
_HEAD: Final = 144
_IDENTITY_BYTES: Final = 16 * 1024
_LAST_IDENTITY_TAG: Final = 0x0020000E
_MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_MR_CLASSES: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in ("4", "4.1", "4.3", "4.4"))
# No codec in use for MR goes beyond this on anything but a blank image, which the allowance covers.
_MAX_COMPRESSION: Final = 2000
_COMPRESSION_ALLOWANCE_BYTES: Final = 1024**2


@dataclass(frozen=True)
class Identity:
    """Whose file it is; kind is ``dicom`` when the content is, each name null where no header gives it."""

    is_dicom: bool
    study_uid: str | None = None
    patient_id: str | None = None
    issuer_of_patient_id: str | None = None
    accession_number: str | None = None
    series_uid: str | None = None
    sop_uid: str | None = None


@dataclass(frozen=True)
class Examined:
    """What one file is: a reason, or a row for ``archive.INSTANCES`` with facts of its frames or tiles."""

    size_bytes: int
    sha256: str | None
    reason: Reason | None
    row: dict[str, Any] | None = None
    frames: tuple[FrameFacts, ...] = field(default=())
    mosaic: bool = False
    mosaic_tiles: int | None = None


class _Rejected(Exception):
    def __init__(self, reason: Reason) -> None:
        self.reason = reason


class _NotRegular(OSError):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


def identify(path: Path, settings: ArchiveSettings) -> Identity:
    """Read only as far as the series UID; never raises, also for what cannot be opened or parsed."""
    is_dicom = False
    try:
        with open_regular(path) as stream, _quiet():
            size = os.fstat(stream.fileno()).st_size
            head = stream.read(_IDENTITY_BYTES)
            begin = find_meta(head)
            if begin is None:
                return Identity(False)
            is_dicom = True
            meta = read_meta(stream, begin)
            ds, _ = _header(stream, head, size, meta, settings, stop_above=_LAST_IDENTITY_TAG)
            return Identity(
                True,
                text_of(read_value(ds, "StudyInstanceUID")),
                text_of(read_value(ds, "PatientID")),
                text_of(read_value(ds, "IssuerOfPatientID")),
                text_of(read_value(ds, "AccessionNumber")),
                text_of(read_value(ds, "SeriesInstanceUID")),
                text_of(read_value(ds, "SOPInstanceUID")),
            )
    except Exception:  # whatever is wrong is found again, and named, when the batch is indexed
        return Identity(is_dicom)


def examine(path: Path, settings: ArchiveSettings) -> Examined:
    """Hash, check and read one file; every failure is a reason, memory is bounded whatever it claims."""
    size, digest = 0, None
    try:
        with open_regular(path) as opened, _quiet():
            size = os.fstat(opened.fileno()).st_size
            if size == 0:
                return Examined(0, hashlib.sha256().hexdigest(), Reason.EMPTY_FILE)
            if size > settings.max_file_bytes:
                return Examined(size, None, Reason.TOO_LARGE)
            head, size, digest = _hashed(opened, size)
            stream = opened if len(head) < size else io.BytesIO(head)
            return _examine_stream(stream, head, size, digest, settings)
    except (_Rejected, _NotRegular) as rejected:
        return Examined(size, digest, rejected.reason)
    except FileNotFoundError:
        return Examined(size, digest, Reason.VANISHED)
    except OSError:
        return Examined(size, digest, Reason.UNREADABLE)
    except RecursionError:
        return Examined(size, digest, Reason.TOO_DEEP)
    except MemoryError:
        return Examined(size, digest, Reason.TOO_LARGE)
    except Exception:  # readers raise many kinds on hostile bytes; the kind could quote a value
        return Examined(size, digest, Reason.MALFORMED)


def examine_table(path: Path, settings: ArchiveSettings) -> Examined:
    """Hash a text or table file, without parsing it; reasons as `examine` gives for what cannot be read."""
    size = 0
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > settings.max_file_bytes:
                return Examined(size, None, Reason.TOO_LARGE)
            digest = hashlib.sha256()
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except _NotRegular as rejected:
        return Examined(size, None, rejected.reason)
    except FileNotFoundError:
        return Examined(size, None, Reason.VANISHED)
    except OSError:
        return Examined(size, None, Reason.UNREADABLE)
    return Examined(size, digest.hexdigest(), None if size else Reason.EMPTY_FILE)


def data_set_hash(path: Path) -> str:
    """SHA-256 of the transfer syntax and everything behind the file meta information of a DICOM file."""
    with open_regular(path) as stream:
        begin = find_meta(stream.read(_HEAD))
        meta = read_meta(stream, begin or 0)
        digest = hashlib.sha256((meta.transfer_syntax_uid or "").encode())
        stream.seek(meta.end)
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _examine_stream(
    stream: BinaryIO, head: bytes, size: int, digest: str, settings: ArchiveSettings
) -> Examined:
    begin = find_meta(head[:_HEAD])
    if begin is None:
        raise _Rejected(Reason.NOT_DICOM)
    meta = read_meta(stream, begin)
    if meta.sop_class_uid == _MEDIA_DIRECTORY:
        raise _Rejected(Reason.DICOMDIR)
    ds, layout = _header(stream, head, size, meta, settings)
    if layout.fault is not None:
        raise _Rejected(layout.fault)
    row = {
        "sha256": digest,
        "patient_id": text_of(read_value(ds, "PatientID")),
        "issuer_of_patient_id": text_of(read_value(ds, "IssuerOfPatientID")),
        "accession_number": text_of(read_value(ds, "AccessionNumber")),
        "study_uid": text_of(read_value(ds, "StudyInstanceUID")),
        "series_uid": text_of(read_value(ds, "SeriesInstanceUID")),
        "sop_uid": text_of(read_value(ds, "SOPInstanceUID")),
        "sop_class_uid": text_of(read_value(ds, "SOPClassUID")),
        "transfer_syntax_uid": meta.transfer_syntax_uid,
        "modality": text_of(read_value(ds, "Modality")),
        "study_date": text_of(read_value(ds, "StudyDate")),
        "series_description": text_of(read_value(ds, "SeriesDescription")),
        "protocol_name": text_of(read_value(ds, "ProtocolName")),
        "station_name": text_of(read_value(ds, "StationName")),
    }
    if None in (row["study_uid"], row["series_uid"], row["sop_uid"], row["sop_class_uid"]):
        raise _Rejected(Reason.MISSING_UID)
    _check_pixels(ds, layout, UID(meta.transfer_syntax_uid or ""), settings)
    row |= acquisition_facts(ds) | {"mosaic_tiles": None, "mosaic_order": None}
    if is_mosaic(ds):
        if tile_shape(row["rows"], row["columns"], mosaic_tiles(ds)) is not None:
            row |= {"mosaic_tiles": mosaic_tiles(ds), "mosaic_order": mosaic_order(ds)}
        tiles = tuple(FrameFacts(place, None, None, (), row["b_value"]) for place in mosaic_geometry(ds))
        return Examined(size, digest, None, row, tiles, True, mosaic_tiles(ds))
    return Examined(size, digest, None, row, _frames(ds, row))


def _frames(ds: RawHeader, row: dict[str, Any]) -> tuple[FrameFacts, ...]:
    """As `frame_facts`, from what has been read already where the object is a classic one."""
    if frame_items(ds):
        return tuple(frame_facts(ds))
    frames = min(row["frames"] or 1, MAX_FRAMES)
    geometry = FrameGeometry(None, None)
    if frames == 1:
        geometry = FrameGeometry(
            _tuple(row["iop"]),
            _tuple(row["ipp_mm"]),
            _tuple(row["pixel_spacing_mm"]),
            row["slice_thickness_mm"],
        )
    return (FrameFacts(geometry, b_value=row["b_value"], te_ms=row["te_ms"]),) * frames


def _tuple(values: list[float] | None) -> tuple[float, ...] | None:
    return tuple(values) if values is not None else None


def _header(
    stream: BinaryIO,
    head: bytes,
    size: int,
    meta: Meta,
    settings: ArchiveSettings,
    stop_above: int | None = None,
) -> tuple[RawHeader, Layout]:
    """The data set before the pixel element; ``head`` is what is in memory of the stream."""
    if meta.transfer_syntax_uid is None:
        raise _Rejected(Reason.MISSING_META)
    syntax = UID(meta.transfer_syntax_uid)
    if not syntax.is_transfer_syntax:
        raise _Rejected(Reason.UNKNOWN_TRANSFER_SYNTAX)
    begin = meta.end
    if meta.transfer_syntax_uid == _DEFLATED:
        head, begin = _inflated(stream, meta.end), 0
        stream, size = io.BytesIO(head), len(head)
    walk = StructureWalk(
        stream,
        begin,
        size,
        implicit=syntax.is_implicit_VR,
        little=syntax.is_little_endian,
        max_nesting=settings.max_nesting,
        head=head,
    )
    layout = walk.run(stop_above)
    if layout.header_end - begin > MAX_HEADER_BYTES:
        raise _Rejected(Reason.TOO_LARGE)
    return RawHeader(stream, head, layout.elements, layout.implicit, syntax.is_little_endian), layout


def _check_pixels(ds: RawHeader, layout: Layout, syntax: UID, settings: ArchiveSettings) -> None:
    """Compare what the header claims with the bytes that are there; nothing is decoded."""
    if layout.pixels is None:
        # Documents and waveforms have none and are held back later, by their class.
        if text_of(read_value(ds, "SOPClassUID")) in _MR_CLASSES:
            raise _Rejected(Reason.NO_PIXELS)
        return
    rows, columns, bits = (_claim(ds, k) for k in ("Rows", "Columns", "BitsAllocated"))
    samples, frames = _claim(ds, "SamplesPerPixel", 1), _claim(ds, "NumberOfFrames", 1)
    if min(rows, columns, bits, samples, frames) < 1 or bits > 64 or samples > 4:
        raise _Rejected(Reason.ABSURD_PIXELS)
    if text_of(read_value(ds, "PhotometricInterpretation")) in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        samples = 2
    claimed = (rows * columns * samples * frames * bits + 7) // 8
    if claimed > settings.max_pixel_bytes:
        raise _Rejected(Reason.ABSURD_PIXELS)
    stored, fragments = layout.pixels.length, layout.pixels.fragments
    if not syntax.is_encapsulated:
        # An odd length is padded by one byte (PS3.5 section 8.1.1).
        if fragments is not None or stored not in (claimed, claimed + claimed % 2):
            raise _Rejected(Reason.WRONG_PIXEL_LENGTH)
        return
    is_video = syntax.name.startswith(("MPEG", "HEVC", "Fragmentable"))
    if not fragments or not stored or (frames > fragments and not is_video):
        raise _Rejected(Reason.WRONG_PIXEL_LENGTH)
    if claimed > _MAX_COMPRESSION * stored + _COMPRESSION_ALLOWANCE_BYTES:
        raise _Rejected(Reason.ABSURD_PIXELS)
    spans = layout.pixels.spans
    if len(spans) == fragments:
        samples = _claim(ds, "SamplesPerPixel", 1)
        claim = Claim(rows, columns, samples, (bits + 7) // 8, frames)
        fault = fault_of(str(syntax), spans, claim, ds.bytes_at)
        if fault is not None:
            raise _Rejected(fault)


def _claim(ds: RawHeader, keyword: str, absent: int = 0) -> int:
    if keyword not in ds:
        return absent
    numbers = numbers_of(read_value(ds, keyword))
    return int(numbers[0]) if numbers else 0


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of the reader quote values
        yield


def open_regular(path: Path) -> BinaryIO:
    """Open for reading; a link is not followed, and a pipe or socket is not opened. Raises OSError for those too."""
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        raise _NotRegular(Reason.SYMBOLIC_LINK)
    if not stat.S_ISREG(mode):
        raise _NotRegular(Reason.UNREADABLE)
    # The flags hold the same where the file was exchanged in between.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _hashed(opened: BinaryIO, size: int) -> tuple[bytes, int, str]:
    """The content where it is small, else its beginning; with the file's length and SHA-256."""
    digest = hashlib.sha256()
    if size <= _IN_MEMORY_BYTES:
        content = opened.read(size)
        digest.update(content)
        return content, len(content), digest.hexdigest()
    head = opened.read(_CHUNK)
    digest.update(head)
    while chunk := opened.read(_CHUNK):
        digest.update(chunk)
    return head, size, digest.hexdigest()


def _inflated(stream: BinaryIO, begin: int) -> bytes:
    """Inflate a deflated data set piece by piece, up to a limit."""
    stream.seek(begin)
    inflater, out = zlib.decompressobj(-zlib.MAX_WBITS), io.BytesIO()
    try:
        while not inflater.eof:
            chunk = inflater.unconsumed_tail or stream.read(_CHUNK)
            if not chunk:
                raise _Rejected(Reason.TRUNCATED)
            out.write(inflater.decompress(chunk, _CHUNK))
            if out.tell() > MAX_HEADER_BYTES:
                raise _Rejected(Reason.TOO_LARGE)
    except zlib.error:
        raise _Rejected(Reason.MALFORMED) from None
    return out.getvalue()
