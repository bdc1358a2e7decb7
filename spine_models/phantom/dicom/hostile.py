"""The odd files that every inbox has: junk, a truncated file, a copy, a capture with a burned-in name, a CT.

Belongs here: files that must not be released, and what is expected of each. Does not belong here: MR images.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, EncapsulatedPDFStorage, SecondaryCaptureImageStorage


def write_extras(inbox: Path, examples: Sequence[Path], seed: int) -> list[tuple[str, str]]:
    """Write the extras beside good files; returns (relative path, expected outcome)."""
    rng = np.random.default_rng([seed, 900_002])
    folder = inbox / "dicom" / "misc"
    folder.mkdir()
    found: list[tuple[Path, str]] = []

    def keep(name: str, expected: str) -> Path:
        found.append((folder / name, expected))
        return folder / name

    keep("readme.txt", "rejected").write_text("Exported by the PACS. Not an image.\n", encoding="utf-8")
    keep("empty.dcm", "rejected").write_bytes(b"")
    keep("noise.dcm", "rejected").write_bytes(rng.bytes(4096))
    good = examples[0].read_bytes()
    keep("cut.dcm", "rejected").write_bytes(good[: len(good) // 2])
    shutil.copyfile(examples[1], keep("copy.dcm", "duplicate"))
    for name, sop_class, modality in (
        ("capture.dcm", SecondaryCaptureImageStorage, "OT"),
        ("ct.dcm", CTImageStorage, "CT"),
        ("letter.dcm", EncapsulatedPDFStorage, "DOC"),
    ):
        ds = pydicom.dcmread(examples[2])
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{ds.SOPInstanceUID}.{len(found)}"
        ds.SeriesInstanceUID = f"{ds.SeriesInstanceUID}.{len(found)}"
        ds.Modality = modality
        if modality == "OT":
            ds.BurnedInAnnotation = "YES"
        if modality == "DOC":
            del ds.PixelData
            ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
            ds.EncapsulatedDocument = b"%PDF-1.4 letter "
        ds.save_as(keep(name, "quarantined"), enforce_file_format=True)
    return [(path.relative_to(inbox).as_posix(), expected) for path, expected in found]
