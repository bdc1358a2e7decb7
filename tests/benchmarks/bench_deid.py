"""How much of the speed of a plain pydicom read and write the de-identification of one file keeps, and how it
compares with two libraries in their default modes on the same files.

All sides get the same bytes in memory, give a file's bytes, and take turns; CPU seconds count. The hashes of the
audit are not in it: nobody else takes them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
import yaml
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from spine_models.config import ArchiveSettings, DeidSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.deid import deidentify_batch, gate_batch
from spine_models.corpus.deid.dates import PatientDates
from spine_models.corpus.deid.engine import Patient, deidentify_object, read_object
from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.deid.pseudonyms import Pseudonymizer
from spine_models.corpus.deid.text import TextCleaner

ROUNDS = 7
FILES = 40
PRIVATE_ELEMENTS = 60
_HELD = frozenset({"quarantine", "crosswalk"})


def bench() -> list[tuple[str, float, str]]:
    """Name, ratio, what is divided by what; against pydicom above 0.5 is demanded."""
    plain = "files per CPU second, over those of a pydicom lazy read and write"
    explicit = _files(implicit=False)
    rows = [
        ("de-identify, explicit", _ratio(explicit, _plain), plain),
        ("de-identify, implicit", _ratio(_files(implicit=True), _plain), plain),
        ("de-identify, enhanced of 20 frames", _ratio([_enhanced(n) for n in range(4)], _plain), plain),
    ]
    rows.append(("clean text, reports of 2 kB", _prose_rate(), "reports per CPU second; 100 are asked"))
    for library, work in _libraries().items():
        rows.append(
            (
                f"de-identify, against {library}",
                _ratio(explicit, work),
                f"files per CPU second, over {library}'s",
            )
        )
    return rows


def unit_costs() -> list[tuple[str, float, float, str]]:
    """Releasing one file of 384 x 384 pixels, and reading it byte by byte in the gate as the graph does."""
    with TemporaryDirectory() as name:
        inbox, out = Path(name) / "inbox" / "dicom", Path(name) / "out"
        inbox.mkdir(parents=True)
        for n, payload in enumerate(_files(implicit=False)):
            (inbox / f"{n}.dcm").write_bytes(payload)
        settings, key = DeidSettings(workers=1), b"benchmark key of thirty-two bytes"
        ledger = scan_inbox(inbox.parent, cohort="bench", ledger=None, settings=ArchiveSettings(workers=1))
        archive = index_batch(ledger, "bench-0001", settings=ArchiveSettings(workers=1))
        began = time.process_time()
        released = deidentify_batch(archive, key=key, out=out, settings=settings)
        spent = time.process_time() - began
        count = released.instances.height
        tables = {f.name: getattr(released, f.name) for f in fields(released) if f.name not in _HELD}
        began = time.process_time()
        assert gate_batch(archive, folder=out, tables=tables, key=key, settings=settings).is_empty()
        gated = time.process_time() - began
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return [
        ("deid: release, with hashes and audit", spent / count, size / count, "slice"),
        ("deid: gate", gated / count, 0.0, "slice"),
    ]


def _prose_rate() -> float:
    """Reports of 2 kB cleaned in a CPU second by one patient's cleaner; the texts are those written for building."""
    folder = Path(__file__).parents[1] / "corpus" / "deid"
    marked = "\n".join(
        entry["text"]
        for file in sorted(folder.glob("reports_dev_*.yaml"))
        for entry in yaml.safe_load(file.read_text(encoding="utf-8"))["reports"]
    )
    prose = re.sub(r"\[\[\w+!?:(.*?)\]\]", r"\1", marked)
    reports = [prose[at : at + 2048] for at in range(0, len(prose) - 2048, 512)]
    known = [
        ("name", "Quillfeather^Rosamund"),
        ("id", "00482913"),
        ("birth", "19560214"),
        ("phone", "212-555-0147"),
    ]
    cleaner = TextCleaner(KnownIdentifiers.of(known), PatientDates("shift", 50))
    rates = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for report in reports:
            cleaner.clean(report)
        rates.append(len(reports) / (time.process_time() - start))
    return max(rates)


def _ratio(files: list[bytes], other: Callable[[bytes], bytes]) -> float:
    names = Pseudonymizer(b"benchmark key of thirty-two bytes")
    patient = Patient(names.patient_key("123"), PatientDates("shift", 17))
    best: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for taken, work in zip(best, (other, lambda data: _ours(data, names, patient)), strict=True):
            taken.append(_seconds(work, files))
    return min(best[0]) / min(best[1])


def _libraries() -> dict[str, Callable[[bytes], bytes]]:
    """Those of the two libraries that are installed (both are development dependencies)."""
    found: dict[str, Callable[[bytes], bytes]] = {}
    if find_spec("dicomanonymizer"):
        from dicomanonymizer import anonymize_dataset

        found["dicom-anonymizer"] = lambda data: _through(data, anonymize_dataset)
    if find_spec("dicognito"):
        from dicognito.anonymizer import Anonymizer

        anonymizer = Anonymizer(seed="benchmark")
        found["dicognito"] = lambda data: _through(data, anonymizer.anonymize)
    return found


def _through(data: bytes, change: Callable[[Dataset], object]) -> bytes:
    dataset, buffer = pydicom.dcmread(BytesIO(data)), BytesIO()
    change(dataset)
    dataset.save_as(buffer)
    return buffer.getvalue()


def _seconds(work: Callable[[bytes], bytes], files: list[bytes]) -> float:
    start = time.process_time()
    for data in files:
        work(data)
    return time.process_time() - start


def _plain(data: bytes) -> bytes:
    buffer = BytesIO()
    pydicom.dcmread(BytesIO(data)).save_as(buffer)
    return buffer.getvalue()


def _ours(data: bytes, names: Pseudonymizer, patient: Patient) -> bytes:
    return deidentify_object(read_object(data), names=names, patient=patient).payload


def _files(*, implicit: bool) -> list[bytes]:
    return [_file(index, implicit) for index in range(FILES)]


def _file(index: int, implicit: bool) -> bytes:
    ds = Dataset()
    ds.SOPClassUID, ds.Modality = UID("1.2.840.10008.5.1.4.1.1.4"), "MR"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "1.2.3.1", "1.2.3.2", f"1.2.3.3.{index}"
    ds.PatientID, ds.PatientName, ds.PatientBirthDate = "123", "Somebody^Else", "19600101"
    ds.StudyDate, ds.StudyTime, ds.SeriesDescription = "20240305", "101112", "t2_tse_sag"
    ds.ImageType, ds.Manufacturer, ds.ManufacturerModelName = ["ORIGINAL", "PRIMARY", "M"], "SIEMENS", "Skyra"
    for keyword in ("RepetitionTime", "EchoTime", "FlipAngle", "SliceThickness", "PixelBandwidth", "SAR"):
        setattr(ds, keyword, f"{index + 10}.5")
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, index]
    ds.ReferencedImageSequence = [Dataset() for _ in range(3)]
    for item in ds.ReferencedImageSequence:
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, "1.2.3.4.5"
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    for element in range(PRIVATE_ELEMENTS):
        block.add_new(element + 0x10, "LO", f"private value {element}")
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 384, 384, 16, 12, 11
    ds.SamplesPerPixel, ds.PixelRepresentation, ds.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    ds.PixelData = np.random.default_rng(index).integers(0, 4096, (384, 384)).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True, implicit_vr=implicit, little_endian=True)
    return buffer.getvalue()


def _enhanced(index: int, frames: int = 20) -> bytes:
    """An Enhanced MR object with per-frame functional groups, private ones among them, which a lazy reader skips."""
    ds = pydicom.dcmread(BytesIO(_file(index, implicit=False)))
    ds.SOPClassUID, ds.NumberOfFrames = UID("1.2.840.10008.5.1.4.1.1.4.1"), frames
    groups = []
    for n in range(frames):
        group, content, place, echo, kind = (Dataset() for _ in range(5))
        content.FrameAcquisitionDateTime, content.StackID, content.InStackPositionNumber = (
            "20240305101112",
            "1",
            n + 1,
        )
        content.DimensionIndexValues = [1, n + 1]
        place.ImagePositionPatient, echo.EffectiveEchoTime = [0, 0, n * 1.5], 98.25
        kind.FrameType, kind.PixelPresentation = ["ORIGINAL", "PRIMARY", "T2", "NONE"], "MONOCHROME"
        group.FrameContentSequence, group.PlanePositionSequence = [content], [place]
        group.MREchoSequence, group.MRImageFrameTypeSequence = [echo], [kind]
        block = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
        for element in range(20):
            block.add_new(element + 0x10, "LO", f"private value {element}")
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    ds.PixelData = np.random.default_rng(index).integers(0, 4096, (frames, 384, 384)).astype("<u2").tobytes()
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return buffer.getvalue()
