"""A whole phantom hospital: inbox as a site drops it, truth beside it.

Belongs here: how many of what, in which order. Does not belong here: how one image, header or report is made
(``scanner``, ``dicom``, ``records``), who comes when (``timeline``), what is true (``truth``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from spine_models.domain import Outcome
from spine_models.phantom.body.patient import make_spine
from spine_models.phantom.dicom import hostile
from spine_models.phantom.dicom.write import WrittenSeries, write_series
from spine_models.phantom.folders import destinations, move_into
from spine_models.phantom.records.boxes import write_boxes
from spine_models.phantom.records.ehr import write_ehr
from spine_models.phantom.records.exports import write_reports
from spine_models.phantom.records.identity import draw_patient
from spine_models.phantom.records.plants import identify
from spine_models.phantom.records.reports import Prior, write_report
from spine_models.phantom.records.statements import draw_statements
from spine_models.phantom.scanner.examination import Acquired, examine
from spine_models.phantom.timeline import Visit, draw_visits
from spine_models.phantom.truth import Examined, boxes_of, write_truth

NO_REPORT: Final = 0.04
TABLE_REPORTS: Final = 0.2
DAMAGE_RATE: Final = 0.1
"""Share of series whose headers have missing or wrong attributes."""
ANNOTATED: Final = 0.4
"""Share of patients whose findings a reader has boxed."""
_ANATOMY: Final = 700_001
_EHR: Final = 900_001
_REPORTS: Final = 900_003


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
class _Job:
    inbox: Path
    number: int
    seed: int
    damage_rate: float


def write_hospital(
    out: Path,
    *,
    patients: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 2,
    layout: str = "hospital",
    damage_rate: float = DAMAGE_RATE,
    annotated: float = ANNOTATED,
) -> HospitalSummary:
    """Write ``out/inbox`` and ``out/truth``; the same seed gives the same bytes.

    Args:
        out: folder; its inbox and truth must not exist.
        patients: number of patients; about one in five has two or three studies.
        seed: of everything random.
        progress: called with (patients done, patients).
        workers: rendering processes; has no effect on the bytes.
        layout: ``hospital`` (dicom, reports, ehr) or ``rsna`` (train_images and three csv files, as the RSNA 2024
            LumbarDISC cohort is shipped; one lumbar study a patient).
        damage_rate: share of series with missing or wrong header attributes; the rsna layout has none.
        annotated: share of patients with boxes in ``annotations/boxes.csv``, of series with sound headers; 0 writes no
            file. The rsna layout has points instead.

    Raises:
        FileExistsError: there is an inbox or truth already.
        ValueError: the layout is not one of the two, or the damage rate or the annotated share no share.
    """
    if layout not in ("hospital", "rsna"):
        raise ValueError(f"no layout {layout!r}: choose hospital or rsna")
    if not 0 <= damage_rate <= 1:
        raise ValueError("the damage rate is a share between 0 and 1")
    if not 0 <= annotated <= 1:
        raise ValueError("annotated patients are a share between 0 and 1")
    for name in ("inbox", "truth"):
        if (out / name).exists():
            raise FileExistsError(f"{out / name} exists: give another folder, or remove it")
    building = out / ".building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    if layout == "rsna":
        from spine_models.phantom.rsna import write_cohort

        counts = write_cohort(building, patients=patients, seed=seed, run=_runner(workers), progress=progress)
    else:
        counts = _write_hospital(building, patients, seed, damage_rate, annotated, _runner(workers), progress)
    for name in ("inbox", "truth"):
        (building / name).rename(out / name)
    shutil.rmtree(building)
    total = sum(1 for p in (out / "inbox").rglob("*") if p.is_file())
    return HospitalSummary(patients, *counts, total)


def _write_hospital(
    building: Path,
    patients: int,
    seed: int,
    damage_rate: float,
    annotated: float,
    run: Callable[..., Iterable[list[Examined]]],
    progress: Callable[[int, int], None] | None,
) -> tuple[int, int]:
    inbox = building / "inbox"
    for name in ("dicom", "reports"):
        (inbox / name).mkdir(parents=True)
    examined: list[Examined] = []
    jobs = [_Job(inbox, number, seed, damage_rate) for number in range(patients)]
    for done, found in enumerate(run(_patient, jobs), 1):
        examined += found
        if progress is not None:
            progress(done, patients)
    extras = _extras(inbox, examined, seed)
    studies = [e.study for e in examined]
    extras += [
        (f"ehr/{n}", x) for n, x in write_ehr(inbox / "ehr", studies, np.random.default_rng([seed, _EHR]))
    ]
    reports = [
        (e.study.accession, e.report, e.in_table, any(outcome == "released" for _, outcome, _ in e.files))
        for e in examined
        if e.report is not None
    ]
    written = write_reports(inbox / "reports", reports, np.random.default_rng([seed, _REPORTS]))
    extras += [(f"reports/{name}", outcome) for name, outcome in written]
    extras += _boxes(inbox, examined, annotated, seed)
    write_truth(building / "truth", examined, extras)
    return len(examined), sum(len(e.series) for e in examined)


def _boxes(inbox: Path, examined: Sequence[Examined], annotated: float, seed: int) -> list[tuple[str, str]]:
    """The reader's file, if there is one, with what must become of it."""
    sound = {row["series_instance_uid"] for e in examined for row in e.series if not row["damage"]}
    shown = (box for e in examined for box in e.boxes if box["series_instance_uid"] in sound)
    patients = {e.study.uid: e.study.patient.mrn for e in examined}
    place = "annotations/boxes.csv"
    written = write_boxes(inbox / place, shown, patients, annotated=annotated, seed=seed)
    return [(place, Outcome.RELEASED.value)] if written else []


def _extras(inbox: Path, examined: Sequence[Examined], seed: int) -> list[tuple[str, str]]:
    """The odd files; none where so little was written that nothing is there to copy them from."""
    first: dict[str, Path] = {}
    others: list[Path] = []
    for path, outcome, series in (row for e in examined for row in e.files):
        if outcome == "released":
            if series in first:
                others.append(inbox / path)
            first.setdefault(series, inbox / path)
    try:
        return hostile.write_extras(inbox, [*first.values(), *others], seed)
    except ValueError:
        return []


def _runner(workers: int) -> Callable[..., Iterable[list[Examined]]]:
    def run(function: Callable[[object], list[Examined]], jobs: Sequence[object]) -> Iterable[list[Examined]]:
        if workers < 2 or len(jobs) < 8:
            yield from map(function, jobs)
            return
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(function, jobs, chunksize=2)

    return run


def _patient(job: _Job) -> list[Examined]:
    rng = np.random.default_rng([job.seed, job.number])
    person = draw_patient(job.number, rng)
    return [_study(job, visit, rng) for visit in draw_visits(person, job.number, rng)]


def _study(job: _Job, visit: Visit, rng: np.random.Generator) -> Examined:
    study = visit.study
    # Every visit draws the anatomy from the same seed: the patient's own.
    anatomy = np.random.default_rng([job.seed, job.number, _ANATOMY])
    spine = make_spine(study.region, visit.findings, anatomy)
    scratch = job.inbox.parent / f"scratch-{job.number}-{study.number}"
    rows: list[dict[str, object]] = []
    boxes: list[dict[str, object]] = []
    files: list[tuple[str, str, str]] = []
    shown = []
    for number, acquired in enumerate(examine(spine, visit.orders, study.scanner.field_t, rng), 1):
        scratch.mkdir()
        series = write_series(
            scratch, study, acquired, number, rng, identify=identify, damage_rate=job.damage_rate
        )
        places = destinations(study, number, series.description, [p.name for p, _ in series.files], rng)
        move_into([path for path, _ in series.files], job.inbox / "dicom", places)
        shutil.rmtree(scratch)
        files += [
            (f"dicom/{place}", outcome, series.uid)
            for place, (_, outcome) in zip(places, series.files, strict=True)
        ]
        rows.append(_row(study_row(visit), acquired, series, number))
        shown.append(series.description or acquired.name)
        placed = {"study_instance_uid": study.uid, "series_instance_uid": series.uid}
        if series.instances and acquired.derivation is None:
            boxes += [placed | row for row in boxes_of(acquired, visit.findings, series.instances)]
    statements = draw_statements(visit.findings, (*spine.levels, *spine.discs), rng)
    prior = Prior(visit.prior, tuple(visit.prior_findings)) if visit.prior is not None else None
    report = None if rng.random() < NO_REPORT else write_report(study, statements, shown, rng, prior=prior)
    in_table = bool(rng.random() < TABLE_REPORTS)
    return Examined(study, visit.findings, statements, rows, boxes, files, report, in_table)


def study_row(visit: Visit) -> dict[str, object]:
    """The columns of series.csv that belong to the study."""
    study = visit.study
    return {
        "study_instance_uid": study.uid,
        "region": study.region.value,
        "vendor": study.scanner.vendor,
        "manufacturer": study.scanner.manufacturer,
        "model": study.scanner.model,
        "field_t": study.scanner.field_t,
        "site": study.site,
    }


def _row(
    study: dict[str, object], acquired: Acquired, series: WrittenSeries, number: int
) -> dict[str, object]:
    sequence = acquired.sequence
    return study | {
        "series_instance_uid": series.uid,
        "contrast": acquired.name,
        "plane": acquired.plane.value,
        "instances": len(series.files),
        "series_number": number,
        "description": series.description,
        "damage": "+".join(series.damage),
        "layout": series.layout,
        "syntax": series.syntax,
        "dixon_part": sequence.dixon_part or "",
        "dixon_group": "" if acquired.dixon_group is None else acquired.dixon_group,
        "b_values": " ".join(f"{b:g}" for b in sequence.b_values_s_mm2),
        "contrast_agent": sequence.contrast_agent,
        "derivation": acquired.derivation or "",
        "motion": f"{acquired.motion:.3f}",
        "tr_ms": sequence.tr_ms,
        "te_ms": sequence.te_ms,
        "ti_ms": "" if sequence.ti_ms is None else sequence.ti_ms,
    }
