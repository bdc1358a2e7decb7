"""What is true of a phantom hospital, as tables that only tests, the demo's summary and benchmarks read.

Belongs here: the truth tables and boxes projected into slices. Does not belong here: anything that a site drops.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from spine_models.phantom.body.pathology import Finding
from spine_models.phantom.records.statements import Statement
from spine_models.phantom.scanner.examination import Acquired
from spine_models.phantom.scanner.planning import Slice
from spine_models.phantom.study import Study

FINDINGS: Final = (
    "accession_number", "study_instance_uid", "region", "condition", "status", "planted", "level", "side",
    "severity", "x_min_mm", "y_min_mm", "z_min_mm", "x_max_mm", "y_max_mm", "z_max_mm", "contradicted",
    "study_number",
)  # fmt: skip
SERIES: Final = (
    "study_instance_uid", "series_instance_uid", "contrast", "plane", "region", "vendor", "instances",
    "manufacturer", "model", "field_t", "site", "series_number", "description", "damage", "layout", "syntax",
    "dixon_part", "dixon_group", "b_values", "contrast_agent", "derivation", "motion", "tr_ms", "te_ms", "ti_ms",
)  # fmt: skip
BOXES: Final = (
    "study_instance_uid", "series_instance_uid", "sop_instance_uid", "frame", "contrast", "plane", "condition",
    "level", "side", "severity", "x", "y", "w", "h", "rows", "columns",
)  # fmt: skip


@dataclass(frozen=True)
class Examined:
    """One written study: what it shows, what its report says, and every file with what must become of it."""

    study: Study
    findings: list[Finding]
    statements: list[Statement]
    series: list[dict[str, object]]
    boxes: list[dict[str, object]]
    files: list[tuple[str, str, str]]
    report: str | None
    in_table: bool
    extra: dict[str, str] = field(default_factory=dict)


def box_in_slice(
    box_mm: tuple[np.ndarray, np.ndarray], grid: Slice, thickness_mm: float, shape: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    """A box's place in one slice as x, y, w, h in pixels, None where the slice misses it.

    Args:
        box_mm: (min, max) corners, patient LPS.
        grid: the slice; ``thickness_mm`` its thickness.
        shape: rows and columns of the image; the result is clipped to it.

    Pixel (0, 0) spans 0 to 1 in x and y: a box over the first pixel alone is (0, 0, 1, 1).
    """
    low, high = box_mm
    corners = np.array([[(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]]
                        for i in (0, 1) for j in (0, 1) for k in (0, 1)], float)  # fmt: skip
    along_row, along_column = np.array(grid.iop[:3], float), np.array(grid.iop[3:], float)
    away = corners - np.asarray(grid.ipp_mm, float)
    depth = away @ np.cross(along_row, along_column)
    if depth.min() > thickness_mm / 2 or depth.max() < -thickness_mm / 2:
        return None
    x = away @ along_row / grid.spacing_mm + 0.5
    y = away @ along_column / grid.spacing_mm + 0.5
    left, right = np.clip((x.min(), x.max()), 0, shape[1])
    top, bottom = np.clip((y.min(), y.max()), 0, shape[0])
    if right - left < 1 or bottom - top < 1:
        return None
    return float(left), float(top), float(right - left), float(bottom - top)


def boxes_of(
    acquired: Acquired, findings: Sequence[Finding], instances: Sequence[tuple[str, int]]
) -> Iterator[dict[str, object]]:
    """Rows of boxes.csv of one series.

    Args:
        acquired: the series.
        findings: of the study, with their boxes.
        instances: (SOP Instance UID, frame number from 1) of every frame in order.
    """
    for frame, (sop_uid, number) in zip(acquired.frames, instances, strict=True):
        shape = (frame.pixels.shape[0], frame.pixels.shape[1])
        for finding in findings:
            if finding.box_mm is None:
                continue
            box = box_in_slice(finding.box_mm, frame.grid, acquired.thickness_mm, shape)
            if box is None:
                continue
            yield {
                "sop_instance_uid": sop_uid,
                "frame": number,
                "contrast": acquired.name,
                "plane": acquired.plane.value,
                "condition": finding.condition,
                "level": finding.level,
                "side": finding.side.value if finding.side else "",
                "severity": finding.severity.value,
                **{name: f"{value:.1f}" for name, value in zip("xywh", box, strict=True)},
                "rows": shape[0],
                "columns": shape[1],
            }


def write_truth(folder: Path, examined: Sequence[Examined], extras: Sequence[tuple[str, str]]) -> None:
    """Write findings.csv, series.csv, boxes.csv, identifiers.csv and files.csv.

    ``extras`` are files of no study, with what must become of them.
    """
    folder.mkdir()
    write_table(folder / "findings.csv", FINDINGS, (row for e in examined for row in _findings(e)))
    write_table(folder / "series.csv", SERIES, (_row(r, SERIES) for e in examined for r in e.series))
    write_table(folder / "boxes.csv", BOXES, (_row(r, BOXES) for e in examined for r in e.boxes))
    identifiers = sorted({(e.study.patient.mrn, *pair) for e in examined for pair in e.study.patient.planted})
    write_table(folder / "identifiers.csv", ("patient_id", "kind", "value"), identifiers)
    files = [row for e in examined for row in e.files] + [(*pair, "") for pair in extras]
    write_table(folder / "files.csv", ("relative_path", "expected", "series_instance_uid"), files)


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write one csv, UTF-8."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _row(values: Mapping[str, object], columns: Sequence[str]) -> list[object]:
    return [values.get(name, "") for name in columns]


def _findings(examined: Examined) -> Iterator[list[object]]:
    study = examined.study
    for statement in examined.statements:
        planted = [f for f in examined.findings if f.condition == statement.condition]
        said = str(statement.status) if examined.report is not None else "not_mentioned"
        for finding in planted or [None]:
            box: list[object] = [""] * 6
            if finding is not None and finding.box_mm is not None:
                box = [f"{c:.2f}" for corner in finding.box_mm for c in corner]
            place = (
                [finding.level, finding.side.value if finding.side else "", finding.severity.value]
                if finding
                else [""] * 3
            )
            yield [
                study.accession, study.uid, study.region.value, statement.condition, said, finding is not None,
                *place, *box, statement.contradicted and examined.report is not None, study.number,
            ]  # fmt: skip
