"""A whole batch through the door: DICOM, reports and EHR of the same patients under one pseudonym and one shift.

Belongs here: resolving patients, the order of work, the released frames, quarantine and crosswalk.
Does not belong here: how any value is cleaned (engine, text, ehr), or the check that it was (gate).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from spine_models.config import DeidSettings
from spine_models.corpus.archive import source_path
from spine_models.corpus.deid import tables
from spine_models.corpus.deid.annotations import release_annotations
from spine_models.corpus.deid.crosswalk import CROSSWALK, seal
from spine_models.corpus.deid.dates import PatientDates
from spine_models.corpus.deid.ehr import (
    RowContext,
    check_columns,
    date_orders,
    identifiers_of,
    parse_row,
    released_row,
    withheld_dates,
)
from spine_models.corpus.deid.known import KnownIdentifiers
from spine_models.corpus.deid.pseudonyms import Pseudonymizer, normalise_patient_id
from spine_models.corpus.deid.quarantine import Reason
from spine_models.corpus.deid.studies import study_rows
from spine_models.corpus.deid.text import TextCleaner
from spine_models.corpus.deid.work import Done, Task, patient_of, run_tasks
from spine_models.corpus.header import MOSAIC
from spine_models.domain import Outcome

if TYPE_CHECKING:
    from spine_models.corpus.archive import ArchiveTables

_EHR_FRAMES = {
    "patients": tables.EHR_PATIENTS,
    "encounters": tables.EHR_ENCOUNTERS,
    "orders": tables.EHR_ORDERS,
}


@dataclass(frozen=True)
class DeidTables:
    """Everything that a batch releases, and the two restricted things beside it (quarantine, crosswalk)."""

    files: pl.DataFrame
    instances: pl.DataFrame
    studies: pl.DataFrame
    reports: pl.DataFrame
    ehr_patients: pl.DataFrame
    ehr_encounters: pl.DataFrame
    ehr_orders: pl.DataFrame
    annotations: pl.DataFrame
    audit: pl.DataFrame
    quarantine: pl.DataFrame
    crosswalk: bytes


@dataclass
class _Batch:
    archive: ArchiveTables
    names: Pseudonymizer
    settings: DeidSettings
    key: bytes
    out: Path
    patient_of_study: dict[str, str] = field(default_factory=dict)
    conflicting: set[str] = field(default_factory=set)
    keys_of_mrn: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    known: dict[str, KnownIdentifiers] = field(default_factory=dict)
    quarantine: list[dict[str, object]] = field(default_factory=list)
    crosswalk: set[tuple[str, str, str]] = field(default_factory=set)
    outcome: dict[tuple[str, str], tuple[Outcome, str | None]] = field(default_factory=dict)

    def dates(self, patient: str) -> PatientDates:
        return patient_of(patient, self.days(patient), self.settings.dates, KnownIdentifiers()).dates

    def days(self, patient: str) -> int:
        return self.names.shift_days(patient, self.settings.max_shift_days)

    def hold(self, row: dict[str, Any], kind: str, reason: Reason | str) -> None:
        place = {k: row[k] for k in ("batch_key", "inbox", "relative_path")}
        self.quarantine.append({**place, "kind": kind, "reason": str(reason)})
        self.outcome.setdefault((row["inbox"], row["relative_path"]), (Outcome.QUARANTINED, str(reason)))

    def free(self, row: dict[str, Any]) -> None:
        self.outcome[row["inbox"], row["relative_path"]] = (Outcome.RELEASED, None)


def deidentify_batch(
    archive: ArchiveTables,
    *,
    key: bytes,
    out: Path,
    settings: DeidSettings,
    progress: Callable[[int, int], None] | None = None,
) -> DeidTables:
    """De-identify one batch of the archive.

    Args:
        archive: frames of one batch (files, instances, series, studies, reports, ehr).
        key: the site's pseudonym key.
        out: folder for ``<patient_key>/<study_key>/<series_key>/<instance_key>.dcm``.
        settings: date mode, largest shift, HIPAA basis, workers.
        progress: called with files done and files in all.

    Returns:
        Frames exactly as ``tables`` has them. What could not be released is in ``quarantine`` with a reason.

    Raises:
        DeidPolicyError: an EHR table or column without a policy; nothing is written then.
        KeyFileError: the key is too short.
    """
    batch = _Batch(archive, Pseudonymizer(key), settings, key, out)
    parsed = _parse_ehr(archive.ehr)
    _resolve_patients(batch)
    for row in parsed:
        row["patient_key"] = _patient_of_mrn(batch, row["values"].get("mrn", ""))
        if row["patient_key"]:
            _learn(batch, row["patient_key"], KnownIdentifiers.of(identifiers_of(row["values"])))
    done = _dicom(batch, progress)
    instances = _frame(
        [d.instance for d in done],
        tables.INSTANCES,
        ("patient_key", "study_key", "series_key", "instance_key"),
    )
    reports = _reports(batch, set(instances["study_key"]))
    ehr = _ehr(batch, parsed)
    annotations = _annotations(batch, instances)
    with_report = set(reports["study_key"])
    cohorts = dict(archive.studies.select("study_uid", "cohort").iter_rows())
    by_key = {batch.names.key_of_uid(uid): cohort for uid, cohort in cohorts.items()}
    studies = study_rows(done, by_key, with_report, year_only=settings.dates == "year_only")
    return DeidTables(
        files=_files(batch, archive),
        instances=instances,
        studies=_frame(studies, tables.STUDIES, ("patient_key", "study_key")),
        reports=reports,
        annotations=annotations,
        audit=_frame([d.audit for d in done], tables.AUDIT, ("patient_key", "instance_key")),
        quarantine=_frame(batch.quarantine, tables.QUARANTINE, ("kind", "relative_path", "reason")),
        crosswalk=seal(pl.DataFrame(sorted(batch.crosswalk), schema=CROSSWALK, orient="row"), key),
        **ehr,
    )


def _frame(rows: Iterable[dict[str, object]], schema: pl.Schema, order: tuple[str, ...]) -> pl.DataFrame:
    kept = [{name: row.get(name) for name in schema} for row in rows]
    return pl.DataFrame(kept, schema=schema).sort(order, nulls_last=True, maintain_order=True)


def _learn(batch: _Batch, patient: str, known: KnownIdentifiers) -> None:
    batch.known[patient] = batch.known.get(patient, KnownIdentifiers()) | known


def _parse_ehr(ehr: pl.DataFrame) -> list[dict[str, Any]]:
    rows = [
        {**row, "values": parse_row(row["values_json"]), "table": row["table"].casefold()}
        for row in ehr.iter_rows(named=True)
    ]
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for row in rows:
        shape = (row["table"], tuple(row["values"]))
        if shape not in seen:
            check_columns(*shape)
            seen.add(shape)
    return rows


def _resolve_patients(batch: _Batch) -> None:
    """A patient per study; studies whose instances name several are conflicting."""
    named: dict[str, set[str]] = defaultdict(set)
    for row in batch.archive.instances.iter_rows(named=True):
        if normalise_patient_id(row["patient_id"] or ""):
            key = batch.names.patient_key(row["patient_id"], row["issuer_of_patient_id"])
            named[row["study_uid"] or ""].add(key)
            batch.keys_of_mrn[normalise_patient_id(row["patient_id"])].add(key)
            batch.crosswalk.add(("patient", row["patient_id"], key))
            own = [("id", row["patient_id"]), ("id", row["accession_number"] or "")]
            _learn(batch, key, KnownIdentifiers.of(own)) if key not in batch.known else None
    for study, keys in named.items():
        if len(keys) == 1:
            batch.patient_of_study[study] = next(iter(keys))
        else:
            batch.conflicting.add(study)


def _patient_of_mrn(batch: _Batch, mrn: str) -> str | None:
    keys = batch.keys_of_mrn.get(normalise_patient_id(mrn), set())
    return next(iter(keys)) if len(keys) == 1 else None


def _dicom(batch: _Batch, progress: Callable[[int, int], None] | None) -> list[Done]:
    rows = list(batch.archive.instances.iter_rows(named=True))
    tasks: list[Task] = []
    for index, row in enumerate(rows):
        study = row["study_uid"] or ""
        if study in batch.conflicting:
            batch.hold(row, "dicom", Reason.CONFLICTING_PATIENT)
        elif study not in batch.patient_of_study or not normalise_patient_id(row["patient_id"] or ""):
            batch.hold(row, "dicom", Reason.UNRESOLVED_PATIENT)
        else:
            patient = batch.patient_of_study[study]
            who = patient_of(
                patient,
                batch.days(patient),
                batch.settings.dates,
                batch.known.get(patient, KnownIdentifiers()),
            )
            path = str(source_path(row["inbox"], row["relative_path"]))
            tasks.append(
                Task(
                    index,
                    path,
                    row["sha256"],
                    study,
                    row["sop_uid"],
                    row["batch_key"],
                    who,
                    str(batch.out),
                    batch.settings.hipaa_basis,
                )
            )
    released: list[Done] = []
    for result in run_tasks(tasks, key=batch.key, workers=batch.settings.workers, progress=progress):
        row = rows[result.index]
        if result.reason:
            batch.hold(row, "dicom", result.reason)
            continue
        batch.free(row)
        result.instance |= {name: row[name] for name in MOSAIC}
        released.append(result)
        _learn(batch, str(result.instance["patient_key"]), result.known)
        for kind in ("study", "series"):
            batch.crosswalk.add((kind, row[f"{kind}_uid"], str(result.instance[f"{kind}_key"])))
        batch.crosswalk.add(("instance", row["sop_uid"], str(result.instance["instance_key"])))
    return released


def _reports(batch: _Batch, released: set[str]) -> pl.DataFrame:
    out: list[dict[str, object]] = []
    cleaners: dict[str, TextCleaner] = {}
    rows = sorted(
        batch.archive.reports.iter_rows(named=True), key=lambda r: (r["inbox"], r["relative_path"], r["row"])
    )
    for row in rows:
        study = row["study_uid"] or ""
        patient = batch.patient_of_study.get(study)
        if study in batch.conflicting:
            batch.hold(row, "report", Reason.CONFLICTING_PATIENT)
        elif not patient:
            batch.hold(row, "report", Reason.UNRESOLVED_PATIENT)
        elif (study_key := batch.names.key_of_uid(study)) not in released:
            batch.hold(row, "report", Reason.STUDY_NOT_RELEASED)
        else:
            known = batch.known.get(patient, KnownIdentifiers()) | KnownIdentifiers.of(
                [("id", row["accession_number"] or "")]
            )
            cleaner = cleaners.setdefault(
                f"{patient}{row['accession_number']}", TextCleaner(known, batch.dates(patient))
            )
            place = f"{row['inbox']}\x00{row['relative_path']}\x00{row['row']}"
            out.append(
                {
                    "batch_key": row["batch_key"],
                    "patient_key": patient,
                    "study_key": study_key,
                    "report_key": batch.names.digest("report", place),
                    "report_text": cleaner.clean(row["report_text"] or ""),
                }
            )
            batch.free(row)
    return _frame(out, tables.REPORTS, ("patient_key", "study_key", "report_key"))


def _accessions(batch: _Batch) -> dict[str, dict[str, str]]:
    """Study of each accession number, per patient; a number that several studies of a patient share names none."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for accession, study in batch.archive.studies.select("accession_number", "study_uid").iter_rows():
        patient = batch.patient_of_study.get(study)
        if accession and patient:
            found[patient][accession.casefold()].add(study)
    return {
        patient: {accession: next(iter(uids)) for accession, uids in numbers.items() if len(uids) == 1}
        for patient, numbers in found.items()
    }


def _ehr(batch: _Batch, parsed: list[dict[str, Any]]) -> dict[str, pl.DataFrame]:
    studies = batch.archive.studies
    accessions = _accessions(batch)
    uids = frozenset(studies["study_uid"].drop_nulls())
    by_table: dict[str, list[dict[str, object]]] = {table: [] for table in _EHR_FRAMES}
    dated = {t: date_orders((r["values"] for r in parsed if r["table"] == t), t) for t in _EHR_FRAMES}
    contexts: dict[str, RowContext] = {}
    matched: Counter[tuple[str, str]] = Counter()
    for row in parsed:
        place, patient = (row["inbox"], row["relative_path"]), row["patient_key"]
        matched[place] += bool(patient)
        if not row["owner"]:
            continue
        if not patient:
            batch.quarantine.append(
                {
                    **{k: row[k] for k in ("batch_key", "inbox", "relative_path")},
                    "kind": "ehr",
                    "reason": str(Reason.UNRESOLVED_PATIENT),
                }
            )
            continue
        if patient not in contexts:
            dates = batch.dates(patient)
            cleaner = TextCleaner(batch.known.get(patient, KnownIdentifiers()), dates)
            contexts[patient] = RowContext(
                row["batch_key"], patient, dates, cleaner, batch.names, accessions.get(patient, {}), uids
            )
        by_table[row["table"]].append(
            released_row(row["table"], row["values"], contexts[patient], dated[row["table"]])
        )
        for _ in withheld_dates(row["table"], row["values"], dated[row["table"]], contexts[patient].dates):
            place_of = {k: row[k] for k in ("batch_key", "inbox", "relative_path")}
            batch.quarantine.append({**place_of, "kind": "ehr", "reason": str(Reason.AMBIGUOUS_DATE)})
    for place in sorted({(r["inbox"], r["relative_path"]) for r in parsed}):
        if not matched[place]:
            batch.outcome[place] = (Outcome.QUARANTINED, str(Reason.UNRESOLVED_PATIENT))
    orders = {
        "patients": ("patient_key",),
        "encounters": ("patient_key", "encounter_key"),
        "orders": ("patient_key", "order_key"),
    }
    return {f"ehr_{t}": _frame(rows, _EHR_FRAMES[t], orders[t]) for t, rows in by_table.items()}


def _annotations(batch: _Batch, instances: pl.DataFrame) -> pl.DataFrame:
    found = release_annotations(batch.archive.annotations, instances, batch.patient_of_study, batch.names)
    batch_key = batch.archive.files["batch_key"].first() if len(batch.archive.files) else None
    for inbox, path in sorted(found.released):
        batch.free({"inbox": inbox, "relative_path": path})
    for (inbox, path), reason in sorted(found.waiting.items()):
        place = {"batch_key": batch_key, "inbox": inbox, "relative_path": path}
        batch.hold(place, "annotation", reason)
    return found.frame


def _files(batch: _Batch, archive: ArchiveTables) -> pl.DataFrame:
    cohort = archive.studies["cohort"].drop_nulls().first() if len(archive.studies) else None
    rows: list[dict[str, object]] = []
    for row in archive.files.iter_rows(named=True):
        outcome, reason = _outcome(batch, row)
        place = f"{row['inbox']}\x00{row['relative_path']}\x00{row['sha256'] or ''}"
        rows.append(
            {
                "batch_key": row["batch_key"],
                "cohort": cohort or row["batch_key"].rsplit("-", 1)[0],
                "file_key": batch.names.digest("file", place),
                "kind": row["kind"],
                "outcome": str(outcome),
                "reason": reason,
            }
        )
    return _frame(rows, tables.FILES, ("kind", "file_key"))


def _outcome(batch: _Batch, row: dict[str, Any]) -> tuple[Outcome, str | None]:
    if row["status"] == "duplicate":
        return Outcome.DUPLICATE, row["reason"]
    if row["status"] == "rejected":
        return Outcome.REJECTED, row["reason"]
    known = batch.outcome.get((row["inbox"], row["relative_path"]))
    if known:
        return known
    if row["kind"] in (
        "ehr",
        "annotation",
    ):  # nothing of it waits here: its rows are released, or of other batches
        return Outcome.RELEASED, None
    reason = Reason.UNRESOLVED_PATIENT if row["kind"] == "report" else Reason.NO_POLICY
    batch.quarantine.append(
        {
            **{k: row[k] for k in ("batch_key", "inbox", "relative_path")},
            "kind": row["kind"],
            "reason": str(reason),
        }
    )
    return Outcome.QUARANTINED, str(reason)
