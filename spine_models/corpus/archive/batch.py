"""Indexing of one batch: every ledger row becomes one row of ``files``, and what is sound becomes tables.

Belongs here: the order of work and outcomes. Does not belong here: reading one file (`instance`), comparing files
(`conflicts`), reports and EHR rows (`records`), registration (`inbox`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from spine_models.config import ArchiveSettings
from spine_models.corpus.archive.annotations import index_annotations
from spine_models.corpus.archive.conflicts import (
    claimed_elsewhere,
    without_duplicates,
    without_mixed_patients,
    without_reused_uids,
)
from spine_models.corpus.archive.folder import Progress, read_all, source_path
from spine_models.corpus.archive.inbox import as_ledger
from spine_models.corpus.archive.instance import Examined, examine, examine_table
from spine_models.corpus.archive.reasons import Reason
from spine_models.corpus.archive.records import Records, index_ehr, index_reports
from spine_models.corpus.archive.series import series_rows
from spine_models.corpus.archive.tables import ANNOTATIONS, EHR, FILES, INSTANCES, REPORTS, SERIES, STUDIES
from spine_models.domain import cohort_of

_FILE_ORDER: Final = ("inbox", "relative_path")
_REGISTERED: Final = ("study_uid", "patient_id", "issuer_of_patient_id", "accession_number")
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
    data, the first is indexed and the others are rejected; so are a series or instance UID that another study
    uses already, in this batch or in one before it. A study that names more than one patient is rejected whole.

    Args:
        ledger: the whole `LEDGER`, as `scan_inbox` returned it.
        batch_key: one of its batches; an unknown one gives empty tables.
        settings: limits of `ArchiveSettings`.
        progress: called with (files read, files to read).
    """
    ledger = as_ledger(ledger).drop("table_rows")
    own = ledger.filter(batch_key=batch_key).sort(_FILE_ORDER).to_dicts()
    cohort = ledger.filter(pl.col("batch_key").str.replace(r"-\d+$", "") == cohort_of(batch_key))
    reports = index_reports(cohort, batch_key, settings)
    ehr = index_ehr(cohort, batch_key, settings)
    examined = _examine_all(own, reports, ehr, settings, progress)
    examined = without_duplicates(own, examined)
    claimed = claimed_elsewhere(ledger).filter(batch_key=batch_key)
    examined = without_mixed_patients(without_reused_uids(examined, claimed))

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
        series=pl.DataFrame(series_rows(indexed), schema=SERIES).sort("study_uid", "series_uid"),
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
    """A file that became another one since the scan could belong to another batch, or to another patient's EHR."""
    if examined.row is not None and any(examined.row[name] != row[name] for name in _REGISTERED):
        return Examined(examined.size_bytes, examined.sha256, Reason.CHANGED)
    return examined


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
