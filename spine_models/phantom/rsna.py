"""A phantom cohort in the layout of the RSNA 2024 LumbarDISC challenge: a DICOM tree and three csv files.

Belongs here: that cohort's folders, its sparse headers, its labels and points. Does not belong here: the hospital's
layout, anatomy, images. Facts of the layout: 25 labels a study (5 conditions at 5 levels, three grades, empty cells),
one point a label: canal on the sagittal T2 or STIR, foramina on the sagittal T1, lateral recesses on the axial T2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from spine_models.domain import Plane, Region, Severity, Side, Status, condition_keys
from spine_models.phantom.body.anatomy import Spine
from spine_models.phantom.body.lesions import centre_and_radii
from spine_models.phantom.body.pathology import Finding, discs_of
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.dicom.scanners import SCANNERS
from spine_models.phantom.records.statements import Statement
from spine_models.phantom.scanner.examination import Acquired, Frame, Order, examine
from spine_models.phantom.study import Patient, Study
from spine_models.phantom.truth import Examined, boxes_of, write_table, write_truth

CONDITIONS: Final[dict[str, tuple[str, Side | None]]] = {
    "spinal_canal_stenosis": ("canal", None),
    "left_neural_foraminal_narrowing": ("neuroforaminal", Side.LEFT),
    "right_neural_foraminal_narrowing": ("neuroforaminal", Side.RIGHT),
    "left_subarticular_stenosis": ("subarticular", Side.LEFT),
    "right_subarticular_stenosis": ("subarticular", Side.RIGHT),
}
GRADES: Final = ("Normal/Mild", "Moderate", "Severe")
SHARES: Final = (0.80, 0.13, 0.07)
MILD: Final = 0.2
"""Share of Normal/Mild labels that are mild."""
EMPTY: Final = 0.02
"""Share of label cells without a value."""
NO_POINT: Final = 0.005
NO_SERIES: Final = 0.03
"""Share of studies that lack one of the three series; its labels are empty then."""
SPLIT_AXIAL: Final = 0.2
"""Share of axial stacks that come as two series."""
_SEEN_ON: Final = {"canal": "Sagittal T2/STIR", "neuroforaminal": "Sagittal T1", "subarticular": "Axial T2"}
_UID_ROOT: Final = "1.2.826.0.1.3680043.8.498"
_LABELS: Final = 25


@dataclass(frozen=True)
class _Job:
    inbox: Path
    number: int
    seed: int


@dataclass(frozen=True)
class _Series:
    series_id: int
    uid: str
    described: str
    acquired: Acquired
    instances: tuple[tuple[str, int], ...]


def write_cohort(
    building: Path,
    *,
    patients: int,
    seed: int,
    run: Callable[..., Iterable[list[Examined]]],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """Write ``building/inbox`` (``train_images`` and three csv files beside it) and ``building/truth``.

    Args:
        building: an empty folder.
        patients: studies; every patient has one.
        seed: of everything random.
        run: maps a function over jobs, in order.
        progress: called with (patients done, patients).

    Returns:
        Studies and series written.
    """
    inbox = building / "inbox"
    (inbox / "train_images").mkdir(parents=True)
    examined: list[Examined] = []
    for done, found in enumerate(run(_study, [_Job(inbox, n, seed) for n in range(patients)]), 1):
        examined += found
        if progress is not None:
            progress(done, patients)
    cells = [f"{condition}_{_level(level)}" for condition in CONDITIONS for level in discs_of(Region.LUMBAR)]
    assert len(cells) == _LABELS
    tables = {
        "train": ("study_id", *cells),
        "train_label_coordinates": (
            "study_id",
            "series_id",
            "instance_number",
            "condition",
            "level",
            "x",
            "y",
        ),
        "train_series_descriptions": ("study_id", "series_id", "series_description"),
    }
    for name, header in tables.items():
        rows = [tuple(line.split("\t")) for e in examined for line in e.extra[name].split("\n") if line]
        write_table(inbox / f"{name}.csv", header, rows)
    write_truth(building / "truth", examined, [(f"{name}.csv", "released") for name in tables])
    return len(examined), sum(len(e.series) for e in examined)


def _study(job: _Job) -> list[Examined]:
    rng = np.random.default_rng([job.seed, job.number, 800_001])
    study = _anonymous(job.number, rng)
    grades = {
        (condition, level): int(rng.choice(3, p=SHARES))
        for condition in CONDITIONS
        for level in discs_of(Region.LUMBAR)
    }
    findings = _findings(grades, rng)
    spine = make_spine(Region.LUMBAR, findings, rng)
    series = _acquire(spine, study, rng)
    if len(series) > 1 and rng.random() < NO_SERIES:
        series.pop(int(rng.integers(len(series))))
    files = [row for number, s in enumerate(series, 1) for row in _write(job.inbox, study, s, number)]
    tables = _tables(study, spine, grades, series, rng)
    rows: list[dict[str, object]] = [
        {
            "study_instance_uid": study.uid, "series_instance_uid": s.uid, "contrast": s.acquired.name,
            "plane": s.acquired.plane.value, "region": study.region.value, "instances": len(s.acquired.frames),
            "series_number": n, "layout": "classic", "syntax": str(ExplicitVRLittleEndian),
            "contrast_agent": False, "field_t": study.scanner.field_t,
        }
        for n, s in enumerate(series, 1)
    ]  # fmt: skip
    boxes = [
        {"study_instance_uid": study.uid, "series_instance_uid": s.uid} | row
        for s in series
        for row in boxes_of(s.acquired, findings, s.instances)
    ]
    silent = [Statement(condition, Status.NOT_MENTIONED) for condition in condition_keys()]
    return [Examined(study, findings, silent, rows, boxes, files, None, False, tables)]


def _anonymous(number: int, rng: np.random.Generator) -> Study:
    """A study of nobody: the cohort was de-identified, its PatientID is the study's own number."""
    study_id = 4_003_253 + number * 2_169_473 + int(rng.integers(1_000_000))
    person = Patient(
        mrn=str(study_id), family="", given="", sex="", birth=date(1900, 1, 1), phone="", email="", ssn="",
        street="", city="", state="", zip="", height_cm=0, weight_kg=0, kin="", site=0,
    )  # fmt: skip
    drawn = int(rng.integers(10**15))
    uid = f"{_UID_ROOT}.{drawn if drawn >= 10**14 else drawn + 10**14}{number}"  # no part of a UID begins with 0
    person.plant("uid", uid)
    scanner = SCANNERS[int(rng.integers(len(SCANNERS)))]
    return Study(person, scanner, Region.LUMBAR, date(1900, 1, 1), "", "", uid, 0, 0)


def _findings(grades: dict[tuple[str, str], int], rng: np.random.Generator) -> list[Finding]:
    found = []
    for (name, level), grade in grades.items():
        condition, side = CONDITIONS[name]
        mild = rng.random() < MILD
        if grade or mild:
            severity = (Severity.MILD, Severity.MODERATE, Severity.SEVERE)[grade]
            found.append(Finding(condition, level, side, severity))
    return found


def _acquire(spine: Spine, study: Study, rng: np.random.Generator) -> list[_Series]:
    second = "STIR" if rng.random() < 0.3 else "T2"
    orders = (Order("T1", Plane.SAGITTAL), Order(second, Plane.SAGITTAL), Order("T2", Plane.AXIAL))
    acquired = examine(spine, orders, study.scanner.field_t, rng)
    named = list(zip(("Sagittal T1", "Sagittal T2/STIR", "Axial T2"), acquired, strict=True))
    if rng.random() < SPLIT_AXIAL:
        described, axial = named.pop()
        half = len(axial.frames) // 2
        parts = (axial.frames[:half], axial.frames[half:])
        named += [(described, replace(axial, frames=frames)) for frames in parts]
    series = []
    for n, (described, one) in enumerate(named, 1):
        series_id = 1_000_000_000 + int(rng.integers(3_000_000_000))
        uid = f"{_UID_ROOT}.{series_id}{study.patient.mrn}.{n}"
        instances = tuple((f"{uid}.{i}", 1) for i in range(1, len(one.frames) + 1))
        series.append(_Series(series_id, uid, described, one, instances))
    return series


def _write(inbox: Path, study: Study, series: _Series, number: int) -> list[tuple[str, str, str]]:
    folder = inbox / "train_images" / study.patient.mrn / str(series.series_id)
    folder.mkdir(parents=True)
    files = []
    for index, frame in enumerate(series.acquired.frames, 1):
        ds = _image(study, series, number, index, frame)
        path = folder / f"{index}.dcm"
        ds.save_as(path, enforce_file_format=True)
        files.append((path.relative_to(inbox).as_posix(), "released", series.uid))
    return files


def _image(study: Study, series: _Series, number: int, index: int, frame: Frame) -> Dataset:
    sop_uid, grid = series.instances[index - 1][0], frame.grid
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, sop_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, sop_uid
    ds.Modality = "MR"
    ds.SeriesDescription = {"Sagittal T1": "T1", "Axial T2": "T2"}.get(series.described, series.acquired.name)
    ds.PatientID, ds.PatientPosition = study.patient.mrn, "HFS"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study.uid, series.uid
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = number, index, 1
    ds.ImageOrientationPatient = [f"{c:.6f}" for c in grid.iop]
    ds.ImagePositionPatient = [f"{c:.4f}" for c in grid.ipp_mm]
    ds.FrameOfReferenceUID = f"{study.uid}.9"
    ds.SliceLocation = f"{float(np.dot(np.cross(grid.iop[:3], grid.iop[3:]), grid.ipp_mm)):.3f}"
    ds.PixelSpacing = [f"{grid.spacing_mm:.5f}"] * 2
    ds.SliceThickness = f"{series.acquired.thickness_mm:g}"
    ds.SpacingBetweenSlices = f"{series.acquired.spacing_mm:.3f}"
    ds.Rows, ds.Columns = frame.pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.PixelData = frame.pixels.astype("<u2").tobytes()
    return ds


def _tables(
    study: Study,
    spine: Spine,
    grades: dict[tuple[str, str], int],
    series: list[_Series],
    rng: np.random.Generator,
) -> dict[str, str]:
    """The study's lines of the three csv files, cells divided by tabs."""
    study_id = study.patient.mrn
    cells, points = [study_id], []
    for name, (condition, side) in CONDITIONS.items():
        shown = [s for s in series if s.described == _SEEN_ON[condition]]
        for level in discs_of(Region.LUMBAR):
            empty = not shown or rng.random() < EMPTY
            cells.append("" if empty else GRADES[grades[name, level]])
            if empty or rng.random() < NO_POINT:
                continue
            one, instance, x, y = _point(spine, Finding(condition, level, side, Severity.MODERATE), shown)
            said = name.replace("_", " ").title()
            place = level.replace("-", "/")
            points.append("\t".join((study_id, str(one), str(instance), said, place, f"{x:.6f}", f"{y:.6f}")))
    described = [f"{study_id}\t{s.series_id}\t{s.described}" for s in series]
    return {
        "train": "\t".join(cells),
        "train_label_coordinates": "\n".join(points),
        "train_series_descriptions": "\n".join(described),
    }


def _point(spine: Spine, finding: Finding, shown: list[_Series]) -> tuple[int, int, float, float]:
    """Series, instance number and pixel (centres at whole numbers) nearest to where a finding is or would be."""
    place = spine.place(*centre_and_radii(spine, finding)[0])
    nearest: tuple[float, tuple[int, int, float, float]] | None = None
    for series in shown:
        for index, frame in enumerate(series.acquired.frames, 1):
            grid = frame.grid
            row, column = np.array(grid.iop[:3], float), np.array(grid.iop[3:], float)
            away = place - np.asarray(grid.ipp_mm, float)
            depth = abs(float(away @ np.cross(row, column)))
            x, y = float(away @ row) / grid.spacing_mm, float(away @ column) / grid.spacing_mm
            if nearest is None or depth < nearest[0]:
                nearest = (depth, (series.series_id, index, x, y))
    assert nearest is not None
    return nearest[1]


def _level(level: str) -> str:
    return level.lower().replace("-", "_")
