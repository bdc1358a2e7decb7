"""A whole phantom hospital: inbox as a site drops it, truth beside it.

Belongs here: how many of what, in which folders. Does not belong here: how one image, header or report is made.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from spine_models.domain import Plane, Region
from spine_models.phantom import hostile
from spine_models.phantom.dicom import Series, Study, write_instance
from spine_models.phantom.ehr import write_ehr
from spine_models.phantom.records.identity import PHYSICIANS, Patient, draw_patient
from spine_models.phantom.body.pathology import Finding, draw_findings
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.reports import Statement, draw_statements, write_report
from spine_models.phantom.scanner.acquisition import acquire, labels_of
from spine_models.phantom.scanner.planning import plan_axial, plan_sagittal
from spine_models.phantom.vendors import VENDORS, description, sequence_for

REGIONS: Final = (Region.LUMBAR, Region.LUMBAR, Region.CERVICAL, Region.THORACIC)
SECOND_STUDY: Final = 0.12
NO_REPORT: Final = 0.04
TABLE_REPORTS: Final = 0.2


@dataclass(frozen=True)
class HospitalSummary:
    """What was written."""

    patients: int
    studies: int
    series: int
    files: int

    def __str__(self) -> str:
        return f"{self.patients} patients, {self.studies} studies, {self.series} series, {self.files} files"


@dataclass(frozen=True)
class _Examined:
    study: Study
    findings: list[Finding]
    statements: list[Statement]
    series: list[dict[str, object]]
    files: list[tuple[str, str]]
    report: str | None
    in_table: bool


def write_hospital(
    out: Path,
    *,
    patients: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 2,
) -> HospitalSummary:
    """Write ``out/inbox`` (dicom, reports, ehr) and ``out/truth``; the same seed gives the same bytes.

    Args:
        out: folder; its inbox and truth must not exist.
        patients: number of patients; about one in eight has a second study.
        seed: of everything random.
        progress: called with (patients done, patients).
        workers: rendering processes; has no effect on the bytes.

    Raises:
        FileExistsError: there is an inbox or truth already.
    """
    for name in ("inbox", "truth"):
        if (out / name).exists():
            raise FileExistsError(f"{out / name} exists: give another folder, or remove it")
    building = out / ".building"
    shutil.rmtree(building, ignore_errors=True)
    inbox = building / "inbox"
    for name in ("dicom", "reports"):
        (inbox / name).mkdir(parents=True)
    jobs = [(inbox, number, seed) for number in range(patients)]
    examined: list[_Examined] = []
    for done, found in enumerate(_run(jobs, workers), 1):
        examined += found
        if progress is not None:
            progress(done, patients)
    rng = np.random.default_rng([seed, 900_001])
    write_ehr(inbox / "ehr", [e.study for e in examined], rng)
    _write_reports(inbox / "reports", examined)
    files = [pair for e in examined for pair in e.files]
    files += hostile.write_extras(inbox, [inbox / f for f, _ in files[:40]], seed)
    _write_truth(building / "truth", examined, files)
    for name in ("inbox", "truth"):
        (building / name).rename(out / name)
    shutil.rmtree(building)
    total = sum(1 for p in (out / "inbox").rglob("*") if p.is_file())
    return HospitalSummary(patients, len(examined), sum(len(e.series) for e in examined), total)


def _run(jobs: Sequence[tuple[Path, int, int]], workers: int) -> Iterable[list[_Examined]]:
    if workers < 2 or len(jobs) < 8:
        yield from map(_patient, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_patient, jobs, chunksize=2)


def _patient(job: tuple[Path, int, int]) -> list[_Examined]:
    inbox, number, seed = job
    rng = np.random.default_rng([seed, number])
    person = draw_patient(number, rng)
    first = date(2021, 1, 4) + timedelta(days=int(rng.integers(0, 1100)))
    region = REGIONS[int(rng.integers(len(REGIONS)))]
    studies = 2 if rng.random() < SECOND_STUDY else 1
    return [
        _study(inbox, person, region, first + timedelta(days=190 * n), f"{number:05d}{n}", rng)
        for n in range(studies)
    ]


def _study(
    inbox: Path, person: Patient, region: Region, day: date, tag: str, rng: np.random.Generator
) -> _Examined:
    vendor = VENDORS[int(rng.integers(len(VENDORS)))]
    accession = f"RS{7_000_000 + int(tag) * 3 + int(rng.integers(3))}"
    time = f"{int(rng.integers(7, 19)):02d}{int(rng.integers(60)):02d}{int(rng.integers(60)):02d}"
    uid = f"{vendor.uid_root}.{day.strftime('%Y%m%d')}{time}.{int(tag) + 1}"
    study = Study(person, vendor, region, day, time, accession, uid, int(rng.integers(len(PHYSICIANS))))
    person.planted += [
        ("accession", accession), ("uid", uid), ("study_date", day.strftime("%Y%m%d")),
        ("physician", f"Dr. {PHYSICIANS[study.physician]}"), ("station", vendor.station),
    ]  # fmt: skip
    findings = draw_findings(region, rng)
    spine = make_spine(region, findings, rng)
    sagittal, axial = plan_sagittal(spine), plan_axial(spine)
    wanted = [("T1", Plane.SAGITTAL), ("T2", Plane.SAGITTAL), ("STIR", Plane.SAGITTAL), ("T2", Plane.AXIAL)]
    wanted.append(("T2*", Plane.AXIAL) if rng.random() < 0.5 else ("T2*", Plane.SAGITTAL))
    drop = rng.random(len(wanted))
    wanted = [
        w
        for w, d in zip(wanted, drop, strict=True)
        if d > {"T1": 0.05, "T2": 0.04, "STIR": 0.2, "T2*": 0.6}[w[0]]
    ]
    labels = {Plane.SAGITTAL: labels_of(spine, sagittal)}
    if any(plane is Plane.AXIAL for _, plane in wanted):
        labels[Plane.AXIAL] = labels_of(spine, axial)
    rows: list[dict[str, object]] = []
    files: list[tuple[str, str]] = []
    folder = inbox / "dicom" / f"{accession}"
    folder.mkdir()
    for number, (name, plane) in enumerate(wanted, 1):
        stack = sagittal if plane is Plane.SAGITTAL else axial
        series = Series(number, name, plane, sequence_for(name, vendor.field_t), stack, f"{uid}.{number}")
        images = acquire(spine, stack, labels[plane], series.sequence, vendor.field_t, rng)
        for index, (grid, pixels) in enumerate(zip(stack.slices, images, strict=True)):
            path = folder / f"{person.family}_{number}_{index + 1:03d}.dcm"
            write_instance(path, study, series, index, grid, pixels)
            files.append((path.relative_to(inbox).as_posix(), "released"))
        rows.append(
            {"study_instance_uid": uid, "series_instance_uid": series.uid, "contrast": name, "plane": plane.value,
             "region": region.value, "vendor": vendor.manufacturer, "instances": len(images)}
        )  # fmt: skip
    statements = draw_statements(findings, (*spine.levels, *spine.discs), rng)
    shown = [description(vendor, name, plane) for name, plane in wanted]
    report = None if rng.random() < NO_REPORT else write_report(study, statements, shown, rng)
    return _Examined(study, findings, statements, rows, files, report, bool(rng.random() < TABLE_REPORTS))


def _write_reports(folder: Path, examined: Sequence[_Examined]) -> None:
    lines = []
    for e in examined:
        if e.report is not None and e.in_table:
            lines.append(json.dumps({"accession_number": e.study.accession, "report_text": e.report}))
        elif e.report is not None:
            (folder / f"{e.study.accession}.txt").write_text(e.report, encoding="utf-8")
    if lines:
        (folder / "archive.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "RS9999999.txt").write_text(
        "MRI OF THE LUMBAR SPINE. No study of this number is here.\n", encoding="utf-8"
    )


def _write_truth(folder: Path, examined: Sequence[_Examined], files: Sequence[tuple[str, str]]) -> None:
    folder.mkdir()
    header = [
        "accession_number",
        "study_instance_uid",
        "region",
        "condition",
        "status",
        "planted",
        "level",
        "side",
        "severity",
        "x_min_mm",
        "y_min_mm",
        "z_min_mm",
        "x_max_mm",
        "y_max_mm",
        "z_max_mm",
    ]
    rows = []
    for e in examined:
        planted = {f.condition: f for f in e.findings}
        for statement in e.statements:
            finding = planted.get(statement.condition)
            said = str(statement.status) if e.report is not None else "not_mentioned"
            box: list[object] = [""] * 6
            if finding is not None and finding.box_mm is not None:
                box = [f"{c:.2f}" for corner in finding.box_mm for c in corner]
            rows.append(
                [e.study.accession, e.study.uid, e.study.region.value, statement.condition, said, finding is not None,
                 finding.level if finding else "", finding.side or "" if finding else "",
                 finding.severity if finding else "", *box]
            )  # fmt: skip
    _table(folder / "findings.csv", header, rows)
    series = [list(row.values()) for e in examined for row in e.series]
    _table(folder / "series.csv", list(examined[0].series[0]), series)
    people = {e.study.patient.mrn: [] for e in examined}
    for e in examined:
        people[e.study.patient.mrn] += e.study.patient.planted
    identifiers = sorted({(mrn, *pair) for mrn, pairs in people.items() for pair in pairs})
    _table(folder / "identifiers.csv", ["patient_id", "kind", "value"], identifiers)
    _table(folder / "files.csv", ["relative_path", "expected"], files)


def _table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
