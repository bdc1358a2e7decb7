"""The archive beside a plain header scan of the same files; its memory, its reruns and its second process.

The scan is pydicom's ``dcmread(stop_before_pixels=True)``: it neither hashes nor checks a file, gives no table, and
looks at each file once, while the index registers, checks, hashes and tabulates. CPU seconds of one process, turns
taken; memory and processes in processes of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive import index_batch, scan_inbox
from spine_models.corpus.archive.instance import examine

ROUNDS = 3
FILES = 400
PRIVATE_ELEMENTS = 60
SMALL, LARGE = 1_000, 10_000
BATCH_STUDIES = 25
SLICES_PER_STUDY = 20


def bench() -> list[tuple[str, float, str]]:
    """Name, ratio, what is divided by what."""
    with TemporaryDirectory() as folder:
        inbox = Path(folder) / "inbox"
        paths = write_inbox(inbox, FILES, edge=384, private=PRIVATE_ELEMENTS)
        scan, first, rerun, checked = _speeds(inbox, paths)
        small, large = (Path(folder) / str(n) for n in (SMALL, LARGE))
        write_inbox(small, SMALL, edge=16, private=8)
        write_inbox(large, LARGE, edge=16, private=8)
        kilobytes = [_child(inbox, 1, BATCH_STUDIES)["peak_kb"] for inbox in (small, large)]
        links = _hard_links(paths, Path(folder) / "links")
        one, two = (_child(links, workers, LARGE)["wall_s"] for workers in (1, 2))
    return [
        ("index of an inbox", scan / first, "files per CPU second, over those of a raw pydicom header scan"),
        ("check, hash and header of one file", scan / checked, "the same, without registration and tables"),
        (
            "rerun with nothing new",
            rerun / first,
            "CPU seconds of the second registration, over the first run",
        ),
        ("memory at 10,000 files", kilobytes[1] / kilobytes[0], "peak RSS, over that at 1,000 files"),
        (
            "index with two processes",
            one / two,
            f"wall-clock speed-up over one process, {os.cpu_count()} cores",
        ),
    ]


def unit_costs() -> list[tuple[str, float, float, str]]:
    """Registering, checking, hashing and indexing one file of 384 x 384 pixels; the index's bytes are not counted."""
    with TemporaryDirectory() as folder:
        inbox = Path(folder) / "inbox"
        write_inbox(inbox, FILES, edge=384, private=PRIVATE_ELEMENTS)
        settings = ArchiveSettings(workers=1)
        began = time.process_time()
        ledger = scan_inbox(inbox, cohort="bench", ledger=None, settings=settings)
        index_batch(ledger, "bench-0001", settings=settings)
        return [
            ("archive: register, check, hash, index", (time.process_time() - began) / FILES, 0.0, "slice")
        ]


def _speeds(inbox: Path, paths: list[Path]) -> tuple[float, float, float, float]:
    settings = ArchiveSettings(workers=1)
    ledger = scan_inbox(inbox, cohort="bench", ledger=None, settings=settings)

    def scan() -> None:
        for path in paths:
            pydicom.dcmread(path, stop_before_pixels=True)

    def first() -> None:
        found = scan_inbox(inbox, cohort="bench", ledger=None, settings=settings)
        assert index_batch(found, "bench-0001", settings=settings).instances.height == len(paths)

    def rerun() -> None:
        assert scan_inbox(inbox, cohort="bench", ledger=ledger, settings=settings).height == len(paths)

    def check() -> None:
        for path in paths:
            assert examine(path, settings).reason is None

    works = (scan, first, rerun, check)
    taken = [[_seconds(work) for work in works] for _ in range(ROUNDS + 1)][
        1:
    ]  # the first warms the disk cache
    return tuple(min(column) for column in zip(*taken, strict=True))


def _seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _hard_links(paths: list[Path], folder: Path) -> Path:
    """As many names of full-sized files as `LARGE`: each is registered, hashed and read as if it were its own file."""
    folder.mkdir()
    for index in range(LARGE):
        os.link(paths[index % len(paths)], folder / f"{index:05d}")
    return folder


def _child(inbox: Path, workers: int, batch_studies: int) -> dict[str, float]:
    """Register and index a whole inbox, batch by batch, in a process of its own."""
    command = [sys.executable, __file__, str(inbox), str(workers), str(batch_studies)]
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": root}, check=True, capture_output=True)
    return json.loads(done.stdout)


def index_whole(inbox: Path, workers: int, batch_studies: int) -> dict[str, float]:
    """What a child does and tells: peak RSS of this process in kB, seconds of wall clock."""
    import resource

    settings = ArchiveSettings(workers=workers, batch_studies=batch_studies)
    start = time.perf_counter()
    ledger = scan_inbox(inbox, cohort="bench", ledger=None, settings=settings)
    rows = 0
    for batch in ledger["batch_key"].unique().sort():
        rows += index_batch(ledger, batch, settings=settings).files.height
    assert rows == ledger.height
    wall = time.perf_counter() - start
    return {"peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "wall_s": wall}


def write_inbox(inbox: Path, files: int, *, edge: int, private: int) -> list[Path]:
    """``files`` MR slices of ``edge`` x ``edge`` px: one is encoded, the others differ from it in their UIDs."""
    template = _template(edge, private)
    paths = []
    for index in range(files):
        study, slice_index = divmod(index, SLICES_PER_STUDY)
        content = template
        for name, number in (("study", study), ("series", study), ("instance", index)):
            content = content.replace(_uid(name, 0).encode(), _uid(name, number + 1).encode())
        content = content.replace(b"PAT00000", b"PAT%05d" % study)
        path = inbox / f"{study:05d}" / f"{slice_index:03d}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        paths.append(path)
    return paths


def _uid(name: str, number: int) -> str:
    return f"1.2.826.0.1.{('study', 'series', 'instance').index(name) + 1}.1{number:07d}"


def _template(edge: int, private: int) -> bytes:
    from io import BytesIO

    ds = Dataset()
    ds.SOPClassUID, ds.Modality = UID("1.2.840.10008.5.1.4.1.1.4"), "MR"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = _uid("study", 0), _uid("series", 0)
    ds.SOPInstanceUID = _uid("instance", 0)
    ds.PatientID, ds.PatientName, ds.PatientBirthDate = "PAT00000", "Somebody^Else", "19600101"
    ds.AccessionNumber, ds.StationName, ds.InstitutionName = "A1", "MR1", "Hospital"
    ds.StudyDate, ds.StudyTime, ds.SeriesDescription = "20240305", "101112", "t2_tse_sag"
    ds.ImageType, ds.Manufacturer, ds.ManufacturerModelName = ["ORIGINAL", "PRIMARY", "M"], "SIEMENS", "Skyra"
    ds.ScanningSequence, ds.SequenceVariant, ds.MRAcquisitionType = "SE", ["SK", "SP"], "2D"
    for keyword in ("RepetitionTime", "EchoTime", "FlipAngle", "SliceThickness", "PixelBandwidth", "SAR"):
        setattr(ds, keyword, "10.5")
    for keyword in ("SpacingBetweenSlices", "MagneticFieldStrength", "ImagingFrequency", "NumberOfAverages"):
        setattr(ds, keyword, "1.5")
    ds.ImageOrientationPatient, ds.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 4]
    ds.PixelSpacing, ds.BodyPartExamined, ds.InstanceNumber, ds.SeriesNumber = [0.7, 0.7], "LSPINE", 1, 1
    ds.ReferencedImageSequence = [Dataset() for _ in range(3)]
    for item in ds.ReferencedImageSequence:
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = ds.SOPClassUID, "1.2.3.4.5"
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    for element in range(private):
        block.add_new(element + 0x10, "LO", f"private value {element}")
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = edge, edge, 16, 12, 11
    ds.SamplesPerPixel, ds.PixelRepresentation, ds.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    ds.PixelData = np.random.default_rng(0).integers(0, 4096, (edge, edge)).astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


if __name__ == "__main__":
    print(json.dumps(index_whole(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
