"""The odd files that every inbox has: junk, broken and hostile files, copies, and objects that must not leave.

Belongs here: which of them are written and what is expected of each. Does not belong here: how they are made
(``strangers``, ``unsound``), MR images (``write``).
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage

from spine_models.domain import Outcome
from spine_models.phantom.dicom.strangers import STRANGERS
from spine_models.phantom.dicom.unsound import UNSOUND, noise

_PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_COPIED = 3
"""Good files that get a copy or a rival beside them."""


def write_extras(inbox: Path, examples: Sequence[Path], seed: int) -> list[tuple[str, str]]:
    """Write the extras beside good files; returns (relative path, expected outcome).

    Copies stand in the folder of their original under a name that sorts behind it, because of equal files the first
    by path counts. Everything else goes to ``dicom/misc``.

    Args:
        inbox: with a ``dicom`` folder.
        examples: released images of the inbox; at least one must be a classic image stored natively.
        seed: of what is random.

    Raises:
        ValueError: no example is a classic image that is stored natively.
    """
    rng = np.random.default_rng([seed, 900_002])
    folder = inbox / "dicom" / "misc"
    folder.mkdir()
    found: list[tuple[Path, str]] = []

    def keep(path: Path, content: bytes, expected: Outcome) -> None:
        path.write_bytes(content)
        found.append((path, expected.value))

    plain = _plain_examples(examples)
    base = plain[-1][1]
    keep(folder / "readme.txt", b"Exported by the PACS. Not an image.\n", Outcome.REJECTED)
    keep(folder / "empty.dcm", b"", Outcome.REJECTED)
    keep(folder / "noise.dcm", noise(rng), Outcome.REJECTED)
    for name, broken in UNSOUND.items():
        keep(folder / name, broken(base), Outcome.REJECTED)
    for name, stranger in STRANGERS.items():
        ds = stranger(base)
        ds.save_as(folder / name, enforce_file_format=True)
        found.append((folder / name, Outcome.QUARANTINED.value))
    first, second, third = (plain[n % len(plain)] for n in range(_COPIED))
    copied = _beside(first[0], "copy")
    shutil.copyfile(first[0], copied)
    found.append((copied, Outcome.DUPLICATE.value))
    _save(_other_meta(second[1]), _beside(second[0], "sent_again"), Outcome.DUPLICATE, found)
    _save(_other_pixels(third[1]), _beside(third[0], "uid_reused"), Outcome.REJECTED, found)
    for number, ds in enumerate(_two_patients(base), 1):
        _save(ds, folder / f"two_patients_{number}.dcm", Outcome.REJECTED, found)
    return [(path.relative_to(inbox).as_posix(), expected) for path, expected in found]


def _plain_examples(examples: Sequence[Path]) -> list[tuple[Path, FileDataset]]:
    found: list[tuple[Path, FileDataset]] = []
    for path in examples:
        ds = pydicom.dcmread(path)
        if ds.SOPClassUID == MRImageStorage and ds.file_meta.TransferSyntaxUID in _PLAIN:
            found.append((path, ds))
        if len(found) > _COPIED:
            break
    if not found:
        raise ValueError("no example is a classic image stored natively: give more of the inbox's files")
    return found


def _beside(path: Path, word: str) -> Path:
    return path.with_name(f"{path.name}_{word}.dcm")


def _save(ds: FileDataset, path: Path, expected: Outcome, found: list[tuple[Path, str]]) -> None:
    ds.save_as(path, enforce_file_format=True)
    found.append((path, expected.value))


def _other_meta(ds: FileDataset) -> FileDataset:
    """The same data set as another system sent it on."""
    again = copy.deepcopy(ds)
    again.file_meta.SourceApplicationEntityTitle = "GATEWAY2"
    return again


def _other_pixels(ds: FileDataset) -> FileDataset:
    """Another image under the same SOP instance UID."""
    other = copy.deepcopy(ds)
    pixels = np.frombuffer(other.PixelData, np.uint16)
    other.PixelData = (pixels.max() - pixels).astype(np.uint16).tobytes()
    other["PixelData"].VR = "OW"
    return other


def _two_patients(base: FileDataset) -> list[FileDataset]:
    """One small study and one accession number, two patients: somebody chose the wrong line of a worklist."""
    made = []
    for number, (name, patient) in enumerate(
        (("Ravensworth^Odette", "0077001"), ("Lachlan^Torquil", "0077002"))
    ):
        ds = copy.deepcopy(base)
        ds.PatientName, ds.PatientID, ds.AccessionNumber = name, patient, "RS0000077"
        ds.StudyInstanceUID = f"{base.StudyInstanceUID}.77"
        ds.SeriesInstanceUID = f"{base.StudyInstanceUID}.77.1"
        uid = f"{base.StudyInstanceUID}.77.1.{number + 1}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
        ds.InstanceNumber = number + 1
        made.append(ds)
    return made
