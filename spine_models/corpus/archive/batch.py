"""Indexing of one batch: every ledger row becomes one row of ``files``, and what is sound becomes tables.

Belongs here: outcomes, duplicates and conflicts between files, series and studies.
Does not belong here: reading one file (`instance`), reports and EHR rows (`records`), registration (`inbox`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive.annotations import index_annotations
from spine_models.corpus.archive.folder import Progress, read_all, source_path
from spine_models.corpus.archive.inbox import cohort_of
from spine_models.corpus.archive.instance import Examined, data_set_hash, examine, examine_table
from spine_models.corpus.archive.reasons import Reason
from spine_models.corpus.archive.records import Records, index_ehr, index_reports
from spine_models.corpus.archive.tables import ANNOTATIONS, EHR, FILES, INSTANCES, REPORTS, SERIES, STUDIES
from spine_models.corpus.archive.text_tables import normalised_mrn
from spine_models.corpus.geometry import FrameGeometry, plane_of, series_geometry

_FILE_ORDER: Final = ("inbox", "relative_path")
_DUPLICATES: Final = frozenset({Reason.DUPLICATE_CONTENT, Reason.DUPLICATE_SOP})

Row = dict[str, Any]


@dataclass(frozen=True)
class ArchiveTables:
    """The restricted tables of one batch; all of them hold identifiers."""

    files: pl.DataFrame
    instances: pl.DataFrame
    series: pl.DataFrame
    studies: pl.DataFrame
    reports: pl.DataFrame
    ehr: pl.DataFrame
    annotations: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ANNOTATIONS))


def index_batch(
    ledger: pl.DataFrame, batch_key: str, *, settings: ArchiveSettings, progress: Progress | None = None
) -> ArchiveTables:
    """Index the files that the ledger gives to one batch; no file can stop it.

    Content counts once: of byte-identical files, and of equal data sets under other file meta information,
    the first by path is indexed and the others are duplicates. Where the same SOP instance UID names other
    data, the first is indexed and the others are rejected; a study that names more than one patient is
    rejected whole.

    Args:
        ledger: the whole `LEDGER`, as `scan_inbox` returned it.
        batch_key: one of its batches; an unknown one gives empty tables.
        settings: limits of `ArchiveSettings`.
        progress: called with (files read, files to read).
    """
    own = ledger.filter(batch_key=batch_key).sort(_FILE_ORDER).to_dicts()
    cohort = ledger.filter(pl.col("batch_key").str.replace(r"-\d+$", "") == cohort_of(batch_key))
    reports = index_reports(cohort, batch_key, settings)
    ehr = index_ehr(cohort, batch_key, settings)
    examined = _examine_all(own, reports, ehr, settings, progress)
    examined = _without_duplicates(own, examined)
    examined = _without_mixed_patients(examined)

    indexed = [
        ({name: row[name] for name in ("batch_key", *_FILE_ORDER)} | found.row, found)
        for row, found in zip(own, examined, strict=True)
        if found.row is not None and found.reason is None
    ]
    instances = [row for row, _ in indexed]
    annotated = index_annotations(cohort, batch_key, instances, settings)
    files = [
        _file_row(row, annotated.files.get((row["inbox"], row["relative_path"]), found))
        for row, found in zip(own, examined, strict=True)
    ]
    report_studies = [row["study_uid"] for row in reports.rows if row["study_uid"] is not None]
    return ArchiveTables(
        files=pl.DataFrame(files, schema=FILES),
        instances=pl.DataFrame(instances, schema=INSTANCES),
        series=pl.DataFrame(_series(indexed), schema=SERIES).sort("study_uid", "series_uid"),
        studies=pl.DataFrame(_studies(instances, report_studies), schema=STUDIES).sort("study_uid"),
        reports=pl.DataFrame(reports.rows, schema=REPORTS).sort(*_FILE_ORDER, "row"),
        ehr=pl.DataFrame(ehr.rows, schema=EHR).sort(*_FILE_ORDER, "row"),
        annotations=pl.DataFrame(annotated.rows, schema=ANNOTATIONS),
    )


def _examine_all(
    own: Sequence[Row], reports: Records, ehr: Records, settings: ArchiveSettings, progress: Progress | None
) -> list[Examined]:
    images = [row for row in own if row["kind"] in ("dicom", "other")]
    paths = [source_path(row["inbox"], row["relative_path"]) for row in images]
    found = {
        (row["inbox"], row["relative_path"]): _as_registered(row, examined)
        for row, examined in zip(images, read_all(examine, paths, settings, progress), strict=True)
    }
    found |= reports.files | ehr.files
    for row in own:
        key = (row["inbox"], row["relative_path"])
        if key not in found:
            found[key] = examine_table(source_path(*key), settings)
    return [found[row["inbox"], row["relative_path"]] for row in own]


def _as_registered(row: Row, examined: Examined) -> Examined:
    """A file that became another one since the scan could belong to another batch."""
    if examined.row is not None and examined.row["study_uid"] != row["study_uid"]:
        return Examined(examined.size_bytes, examined.sha256, Reason.CHANGED)
    return examined


def _without_duplicates(own: Sequence[Row], examined: Sequence[Examined]) -> list[Examined]:
    first_content: set[str] = set()
    first_sop: dict[str, Path] = {}
    kept = []
    for row, found in zip(own, examined, strict=True):
        reason = found.reason
        if found.row is not None and reason is None:
            path, sop = source_path(row["inbox"], row["relative_path"]), found.row["sop_uid"]
            if found.row["sha256"] in first_content:
                reason = Reason.DUPLICATE_CONTENT
            elif sop in first_sop:
                reason = Reason.DUPLICATE_SOP if _same_data(first_sop[sop], path) else Reason.CONFLICTING_SOP
            first_content.add(found.row["sha256"])
            first_sop.setdefault(sop, path)
        kept.append(replace(found, reason=reason))
    return kept


def _same_data(first: Path, second: Path) -> bool:
    try:
        return data_set_hash(first) == data_set_hash(second)
    except OSError:
        return False


def _without_mixed_patients(examined: Sequence[Examined]) -> list[Examined]:
    patients: defaultdict[str, set[tuple[str | None, str | None]]] = defaultdict(set)
    for found in examined:
        if found.row is not None and found.reason is None:
            patients[found.row["study_uid"]].add(_patient(found.row))
    return [
        replace(found, reason=Reason.CONFLICTING_PATIENT)
        if found.row is not None and found.reason is None and len(patients[found.row["study_uid"]]) > 1
        else found
        for found in examined
    ]


def _patient(row: Row) -> tuple[str | None, str | None]:
    issuer = row["issuer_of_patient_id"]
    patient = row["patient_id"]
    return normalised_mrn(patient) if patient else None, issuer.casefold() if issuer else None


def _file_row(row: Row, found: Examined) -> Row:
    status = "indexed" if found.reason is None else "duplicate" if found.reason in _DUPLICATES else "rejected"
    return {
        "batch_key": row["batch_key"],
        "inbox": row["inbox"],
        "relative_path": row["relative_path"],
        "size_bytes": found.size_bytes,
        "sha256": found.sha256,
        "kind": row["kind"],
        "status": status,
        "reason": found.reason.value if found.reason is not None else None,
    }


def _series(indexed: Iterable[tuple[Row, Examined]]) -> list[Row]:
    members: defaultdict[tuple[str, str, str], list[tuple[Row, Examined]]] = defaultdict(list)
    for row, found in indexed:
        members[row["batch_key"], row["study_uid"], row["series_uid"]].append((row, found))
    return [
        {
            "batch_key": batch_key,
            "study_uid": study_uid,
            "series_uid": series_uid,
            "n_instances": len(group),
            **_series_geometry(group),
        }
        for (batch_key, study_uid, series_uid), group in members.items()
    ]


def _series_geometry(group: Sequence[tuple[Row, Examined]]) -> Row:
    mosaics = [(row, found) for row, found in group if found.mosaic]
    if mosaics:
        # The tiles of a mosaic are slices at regular distances; its own position is that of the whole sheet.
        row, found = mosaics[0]
        tiles = found.mosaic_tiles
        return {
            "n_slices": tiles,
            "plane": plane_of(row["iop"]).value,
            "slice_spacing_mm": row["spacing_between_mm"] or row["slice_thickness_mm"],
            "geometry": "unknown" if tiles is None else "single" if tiles == 1 else "regular",
        }
    frames: list[FrameGeometry] = [frame for _, found in group for frame in found.frames]
    lies = series_geometry(frames)
    return {
        "n_slices": lies.n_slices,
        "plane": lies.plane.value,
        "slice_spacing_mm": lies.slice_spacing_mm,
        "geometry": lies.geometry,
    }


def _studies(instances: Iterable[Row], report_studies: Sequence[str]) -> list[Row]:
    members: defaultdict[str, list[Row]] = defaultdict(list)
    for row in instances:
        members[row["study_uid"]].append(row)
    return [
        {
            "batch_key": rows[0]["batch_key"],
            "cohort": cohort_of(rows[0]["batch_key"]),
            "study_uid": study_uid,
            **{name: _first(rows, name) for name in _STUDY_FACTS},
            "n_series": len({row["series_uid"] for row in rows}),
            "n_instances": len(rows),
            "n_reports": report_studies.count(study_uid),
        }
        for study_uid, rows in members.items()
    ]


_STUDY_FACTS: Final = ("patient_id", "issuer_of_patient_id", "accession_number", "study_date")


def _first(rows: Sequence[Row], name: str) -> object:
    return next((row[name] for row in rows if row[name] is not None), None)
