"""Series as files: layout, identifiers, private blocks, pixels and transfer syntax, in that order.

Belongs here: what becomes of one acquired series on disk. Does not belong here: the pieces themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID

from spine_models.domain import Outcome
from spine_models.phantom.dicom.damage import damaged
from spine_models.phantom.dicom.encode import part10
from spine_models.phantom.dicom.enhanced import enhanced_object
from spine_models.phantom.dicom.headers import image_header, put, shared_elements
from spine_models.phantom.dicom.mosaic import is_stack, mosaics
from spine_models.phantom.dicom.private import add_numbers, seal
from spine_models.phantom.dicom.series import SeriesPlan, plan_series
from spine_models.phantom.dicom.syntaxes import draw_syntax, set_pixels
from spine_models.phantom.scanner.examination import Acquired
from spine_models.phantom.study import Study

MOSAIC: float = 0.8
"""Share of Siemens diffusion series of parallel slices that are stored as mosaics."""

_UNDEFINED_LENGTHS = ("Philips", "GE")
"""Makers whose sequences end with a delimiter."""

REFERRING: float = 0.2
"""Share of series whose images refer to the first and the last of the series: a ring, and the ends to themselves."""

Identify = Callable[[Dataset, Study, np.random.Generator], None]


@dataclass(frozen=True)
class WrittenSeries:
    """One series on disk.

    Attributes:
        uid: SeriesInstanceUID.
        description: as it stands in the files, identifiers that people wrote into it included.
        files: paths with what must become of each (a value of ``domain.Outcome``).
        instances: SOP instance UID and frame number, from 1, of every frame of the acquisition in its order;
            empty for a mosaic, of which a frame is no image of its own.
        syntax: transfer syntax UID.
        layout: ``classic``, ``enhanced`` or ``mosaic``.
        damage: names of the faults in the header.
    """

    uid: str
    description: str
    files: tuple[tuple[Path, str], ...]
    syntax: str
    layout: str
    damage: tuple[str, ...]
    instances: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class _Object:
    """One data set to be written: its header, its frames, and the frames' numbers in the acquisition."""

    header: Dataset
    pixels: tuple[np.ndarray, ...]
    frames: tuple[int, ...]


def write_series(
    folder: Path,
    study: Study,
    acquired: Acquired,
    number: int,
    rng: np.random.Generator,
    *,
    identify: Identify,
    damage_rate: float,
) -> WrittenSeries:
    """Write one series into a folder that exists.

    Args:
        folder: where; file names carry the patient's family name, as exports do.
        study: whose and on which scanner.
        acquired: images and their sequence.
        number: series number.
        rng: of names, values, layout, transfer syntax and faults.
        identify: puts identifiers into a data set; called once for each, before its private blocks are sealed.
        damage_rate: share of series with missing or wrong attributes.
    """
    plan = damaged(plan_series(study, acquired, number, rng), damage_rate, rng)
    layout = _layout(plan, rng)
    syntax = draw_syntax(study.scanner.vendor, rng)
    files: list[tuple[Path, str]] = []
    places: dict[int, tuple[str, int]] = {}
    described = plan.description
    objects = _objects(plan, layout)
    if rng.random() < REFERRING:
        _refer(objects)
    for index, made in enumerate(objects, 1):
        ds = _with_meta(made.header, plan, syntax)
        identify(ds, study, rng)
        seal(ds, plan, acquired.frames[made.frames[0]])
        set_pixels(ds, made.pixels, syntax)
        path = folder / f"{_file_name(study.patient.family)}_{number}_{index:03d}.dcm"
        path.write_bytes(part10(ds, undefined_lengths=study.scanner.vendor in _UNDEFINED_LENGTHS))
        files.append((path, Outcome.RELEASED.value))
        places |= {n: (str(ds.SOPInstanceUID), place) for place, n in enumerate(made.frames, 1)}
        described = str(ds.get("SeriesDescription", ""))
    instances = () if layout == "mosaic" else tuple(places[n] for n in range(len(acquired.frames)))
    return WrittenSeries(plan.uid, described, tuple(files), str(syntax), layout, plan.damage, instances)


def _layout(plan: SeriesPlan, rng: np.random.Generator) -> str:
    scanner, frames = plan.study.scanner, plan.acquired.frames
    chance = rng.random(2)
    if scanner.vendor == "Siemens" and scanner.generation != "XA" and plan.acquired.name == "DWI":
        tiled = chance[0] < MOSAIC and len(frames) >= 4 and is_stack(frames)
        return "mosaic" if tiled else "classic"
    return "enhanced" if chance[1] < scanner.enhanced and len(frames) > 1 else "classic"


def _objects(plan: SeriesPlan, layout: str) -> list[_Object]:
    acquired = plan.acquired
    if layout == "enhanced":
        pixels = tuple(frame.pixels for frame in acquired.frames)
        return [_Object(enhanced_object(plan), pixels, tuple(range(len(pixels))))]
    if layout == "mosaic":
        return [_Object(m.header, (m.pixels,), m.frames) for m in mosaics(plan)]
    shared = shared_elements(plan.values)
    made = []
    for index, frame in enumerate(acquired.frames):
        header = image_header(plan, shared, index)
        add_numbers(header, plan, frame)
        made.append(_Object(header, (frame.pixels,), (index,)))
    return made


def _refer(objects: list[_Object]) -> None:
    """References as scanners write them to a localizer, here within the series so that every one resolves."""
    ends = [objects[0].header, objects[-1].header]
    for made in objects:
        items = []
        for end in ends:
            item = Dataset()
            put(item, "ReferencedSOPClassUID", end.SOPClassUID)
            put(item, "ReferencedSOPInstanceUID", end.SOPInstanceUID)
            items.append(item)
        put(made.header, "ReferencedImageSequence", DicomSequence(items))


def _with_meta(header: Dataset, plan: SeriesPlan, syntax: UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = f"{plan.study.scanner.uid_root}.9"
    meta.ImplementationVersionName = f"{plan.study.scanner.vendor.upper()}_MR"[:16]
    meta.SourceApplicationEntityTitle = plan.study.scanner.station[:16]
    return FileDataset(
        "",
        header,
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=syntax.is_implicit_VR,
        is_little_endian=syntax.is_little_endian,
    )


def _file_name(family: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in family)
